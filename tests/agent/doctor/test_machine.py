"""Python's version, and a clock that is set and synchronised."""

from __future__ import annotations

import pytest

from agent.doctor import Level
from agent.doctor.machine import check_clock, check_python
from tests.support.check_results import only, printing


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10), Level.OK), ((3, 13), Level.OK), ((3, 9), Level.WARNING), ((3, 15), Level.WARNING)]
)
def test_python_that_was_not_tested_is_a_warning(version: tuple[int, int], level: Level) -> None:
    assert only(check_python(version)).level is level


@pytest.mark.parametrize(
    ("seconds", "answer", "level"),
    [
        (0.0, "yes", Level.PROBLEM),
        (1.8e9, "yes", Level.OK),
        (1.8e9, "no", Level.WARNING),
        (1.8e9, None, Level.WARNING),
    ],
)
def test_clock_must_be_set_and_synchronised(seconds: float, answer: str | None, level: Level) -> None:
    assert only(check_clock(lambda: seconds, printing(answer))).level is level
