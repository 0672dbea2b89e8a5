"""Files, functions and folders stay small enough to be read at a glance."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agent", "engines", "calibration")

# Lines of a file, and of a function with its signature and its docstring.
MOST_LINES = 350
MOST_FUNCTION_LINES = 40

# Files in a folder, `__init__.py` and sub-folders apart.
MOST_FILES = 16

# Folders that are still to be divided.
LARGER = {"tests/support"}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def functions(node: ast.AST, name: str = "") -> Iterator[tuple[str, int]]:
    """The qualified name and the lines of every function below a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            qualified = f"{name}.{child.name}" if name else child.name
            if not isinstance(child, ast.ClassDef):
                yield qualified, (child.end_lineno or child.lineno) - child.lineno + 1
            yield from functions(child, qualified)
        else:
            yield from functions(child, name)


def long_functions() -> dict[str, int]:
    """Every function that is longer than the limit, with its lines."""
    return {
        f"{path.relative_to(ROOT)}: {name}": lines
        for path in sources()
        for name, lines in functions(ast.parse(path.read_text()))
        if lines > MOST_FUNCTION_LINES
    }


def test_no_file_is_long() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    long = {name: lines for name, lines in long.items() if lines > MOST_LINES}
    assert not long, f"wanted at most {MOST_LINES} lines"


def test_no_function_is_long() -> None:
    assert not long_functions(), f"wanted at most {MOST_FUNCTION_LINES} lines"


@pytest.mark.parametrize("top", [*PACKAGES, "tests", "benchmarks"])
def test_no_folder_is_crowded(top: str) -> None:
    counts = {
        str(folder.relative_to(ROOT)): len([path for path in folder.glob("*.py") if path.name != "__init__.py"])
        for folder in [ROOT / top, *(path for path in (ROOT / top).rglob("*") if path.is_dir())]
    }
    crowded = {name: count for name, count in counts.items() if count > MOST_FILES and name not in LARGER}
    assert not crowded, f"wanted at most {MOST_FILES} files"


def test_the_measure_counts_signature_docstring_and_nested_functions() -> None:
    source = 'class A:\n    def b(self):\n        """Doc."""\n        def c():\n            pass\n'
    assert list(functions(ast.parse(source))) == [("A.b", 4), ("A.b.c", 2)]
