"""What package indexes show of inspectd."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.core.expected import ISSUES_URL

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]  # type: ignore[no-any-return]


def test_bugs_are_reported_where_the_package_says(project: dict[str, Any]) -> None:
    assert project["urls"]["Issues"] == ISSUES_URL


def test_classifiers_name_the_pythons_that_the_readme_promises(project: dict[str, Any]) -> None:
    promise = re.search(r"Python 3\.(\d+) to 3\.(\d+)", (ROOT / "README.md").read_text("utf-8"))
    assert promise is not None
    first, last = int(promise[1]), int(promise[2])
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r"Python :: 3\.\d+$", line)]
    assert named == [f"3.{minor}" for minor in range(first, last + 1)]
    assert project["requires-python"] == f">=3.{first}"
