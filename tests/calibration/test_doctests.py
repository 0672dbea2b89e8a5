"""The examples in the docstrings give the results shown, for every module of the package."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import calibration

MODULES = ["calibration", *(module.name for module in pkgutil.walk_packages(calibration.__path__, "calibration."))]


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
    names = ("dependence", "tail", "threshold", "episodes", "suspects")
    assert {f"calibration.statistics.{name}" for name in names} <= with_examples
