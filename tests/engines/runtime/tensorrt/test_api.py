"""Every supported release of TensorRT has the names and parameters that our code uses.

mypy checks our code against `tests/stubs/tensorrt`. These tests check the stubs against the real bindings: each class,
enum value, attribute, method and parameter. `make tensorrt` fetches the bindings; without them the tests are skipped.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
BACKEND = ROOT / "engines" / "runtime" / "tensorrt"
STUBS = ROOT / "tests" / "stubs" / "tensorrt" / "__init__.pyi"

# The constructor is inherited in C++, and some releases give it no signature.
NO_SIGNATURE = {"ILogger.__init__", "IProgressMonitor.__init__"}


@pytest.fixture(scope="module", params=["10.3", "10.13", "11.4"])
def api(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The classes of the bindings of one release."""
    folder = ROOT / "build" / "tensorrt" / request.param
    if not folder.exists():
        pytest.skip(f"the bindings of TensorRT {request.param} are not here: make tensorrt")
    if not all(map(shutil.which, ("cc", "nm", "readelf"))):
        pytest.skip("no C compiler and binutils are installed: apt install gcc")
    command = [sys.executable, str(Path(__file__).parents[3] / "support" / "tensorrt_bindings.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["version"].startswith(f"{request.param}.")
    return found["classes"]


def stub_classes(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class of the stubs, also nested ones, with its dotted name."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
            yield from stub_classes(node.body, f"{prefix}{node.name}.")


CLASSES = dict(stub_classes(ast.parse(STUBS.read_text()).body))


def real_class(api: dict[str, Any], name: str) -> dict[str, Any]:
    first, *rest = name.split(".")
    found = api[first]
    for part in rest:
        found = found["classes"][part]
    return found


def parameters(signature: str) -> list[str]:
    """Names of the parameters of a pybind11 signature, without self.

    >>> parameters("f(self: trt.Runtime, size: typing.SupportsInt = 0, flags: Tuple[int, int]) -> None")
    ['size', 'flags']
    """
    return re.findall(r"[(,] ?(\w+): ", signature.split(") -> ")[0])[1:]


@pytest.mark.parametrize("name", CLASSES)
def test_class_has_the_members_of_our_stubs(api: dict[str, Any], name: str) -> None:
    real = real_class(api, name)
    for node in CLASSES[name].body:
        if isinstance(node, ast.Assign):
            assert next(target.id for target in node.targets if isinstance(target, ast.Name)) in real["values"]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert node.target.id in real["members"]
        elif isinstance(node, ast.FunctionDef):
            check_method(name, node, real)


def check_method(name: str, node: ast.FunctionDef, real: dict[str, Any]) -> None:
    if node.name in ("__buffer__", "__iter__"):
        return  # the buffer protocol and old-style iteration have no visible names
    assert node.name in real["members"], f"{name}.{node.name}"
    wanted = [argument.arg for argument in node.args.args[1:]]
    found = [parameters(signature) for signature in real["members"][node.name]]
    if f"{name}.{node.name}" in NO_SIGNATURE or node.name in ("__len__", "__getitem__", "__int__"):
        return
    assert any(names[: len(wanted)] == wanted for names in found), f"{name}.{node.name}: wanted {wanted}, got {found}"


def test_stubs_have_only_names_that_our_code_uses() -> None:
    """A name that no file of ours uses shows that the stubs are outdated."""
    code = "\n".join(path.read_text() for path in sorted(BACKEND.glob("*.py")))
    used = set(re.findall(r"\w+", code))
    returned = {"ICudaEngine", "IExecutionContext", "IHostMemory", "Dims", "ITimingCache"}
    members = {
        member
        for node in CLASSES.values()
        for each in node.body
        for member in ([each.name] if isinstance(each, ast.FunctionDef) else [])
        if not member.startswith("__")
    }
    assert {name.split(".")[-1] for name in CLASSES} - returned <= used
    assert members <= used


def test_half_precision_is_not_set_by_flag() -> None:
    """TensorRT 11 has none of these flags; the graph's types set the precision."""
    code = "\n".join(path.read_text() for path in BACKEND.glob("*.py"))
    assert not re.search(r"BuilderFlag\.(FP16|BF16|INT8|OBEY_PRECISION_CONSTRAINTS)", code)
    assert "NetworkDefinitionCreationFlag.STRONGLY_TYPED" in code
