"""The pinned packages are releases that everyone can install."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CONSTRAINTS = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()


@pytest.mark.parametrize("line", CONSTRAINTS)
def test_constraint_names_a_release_and_not_a_local_build(line: str) -> None:
    """A build such as torch's `+cpu` is on one disk, not on PyPI (PEP 440, local version identifiers)."""
    assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; .*)?", line)


def test_torch_is_pinned_for_every_python_and_machine() -> None:
    assert [line for line in CONSTRAINTS if line.startswith("torch=")] == ["torch==2.13.0"]
