"""PyCUDA has the names that our code uses. mypy checks our code against `tests/stubs/pycuda`; these tests check the
stubs against PyCUDA itself, if it can be imported: that needs the driver's library, though no GPU.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

driver: Any = pytest.importorskip("pycuda.driver", reason="PyCUDA is not installed", exc_type=ImportError)

STUBS = ast.parse((Path(__file__).parents[3] / "stubs" / "pycuda" / "driver.pyi").read_text())
CLASSES = [node for node in STUBS.body if isinstance(node, ast.ClassDef)]
FUNCTIONS = [node for node in STUBS.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_class_has_the_members_of_our_stubs(node: ast.ClassDef) -> None:
    real = getattr(driver, node.name)
    for member in node.body:
        if isinstance(member, ast.FunctionDef):
            assert hasattr(real, member.name)
        elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            assert hasattr(real, member.target.id)


@pytest.mark.parametrize("node", FUNCTIONS, ids=lambda node: node.name)
def test_function_has_the_parameters_of_our_stubs(node: ast.FunctionDef) -> None:
    """Boost writes the signature into the docstring; it calls nameless parameters arg1."""
    signature = (getattr(driver, node.name).__doc__ or "").strip().splitlines()[0]
    for argument in node.args.args:
        assert f"){argument.arg}" in signature or ")arg1" in signature, signature


def test_stream_accepts_flags() -> None:
    assert "flags" in driver.Stream.__init__.__doc__


def test_errors_have_one_base() -> None:
    """`CudaDevice.current` catches it."""
    for name in ("MemoryError", "LogicError", "LaunchError", "RuntimeError"):
        assert issubclass(getattr(driver, name), driver.Error)
