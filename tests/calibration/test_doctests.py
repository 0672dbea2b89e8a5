"""The examples in the docstrings give the results shown, for every module of the package."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import calibration

MODULES = ["calibration", *(f"calibration.{module.name}" for module in pkgutil.iter_modules(calibration.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_doctests_of_module(name: str) -> None:
    module = importlib.import_module(name)
    names = {"np": importlib.import_module("numpy")}
    assert doctest.testmod(module, extraglobs=names).failed == 0


def test_doctests_exist_for_the_statistics() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    with_examples = {
        name for name in MODULES if any(test.examples for test in finder.find(importlib.import_module(name)))
    }
    assert {
        f"calibration.{name}" for name in ("dependence", "tail", "threshold", "episodes", "suspects")
    } <= with_examples
