"""Pacing a source to a frame rate, on a clock of the tests' own."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from agent.core.clock import Pace, clock_synchronised, kernel_synchronised
from tests.support.clocks import FakeClock


def frame_times(pace: Pace, clock: FakeClock, work_seconds: list[float]) -> list[float]:
    """When each frame was due, seconds from the first, where handling the one before took so long."""
    times = []
    for seconds in work_seconds:
        pace.wait()
        times.append(clock.seconds - 100.0)
        clock.seconds += seconds
    return times


def test_frames_are_due_at_the_rate_however_long_each_takes() -> None:
    clock = FakeClock()
    pace = Pace(10.0, clock.monotonic, clock.sleep)
    assert frame_times(pace, clock, [0.0, 0.05, 0.09, 0.0]) == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_short_delay_is_caught_up_and_a_long_one_is_not() -> None:
    clock = FakeClock()
    pace = Pace(10.0, clock.monotonic, clock.sleep)
    assert frame_times(pace, clock, [0.3, 0.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0, 0.3, 0.3, 0.3, 0.4])
    pace.restart()
    clock.seconds = 100.0
    assert frame_times(pace, clock, [5.0, 0.0, 0.0]) == pytest.approx([0.0, 5.0, 5.1])


def test_without_a_rate_no_frame_waits() -> None:
    clock = FakeClock()
    assert frame_times(Pace(None, clock.monotonic, clock.sleep), clock, [0.0] * 5) == [0.0] * 5


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_not_above_zero_is_rejected(rate: float) -> None:
    with pytest.raises(ValueError, match="wanted more than 0"):
        Pace(rate)


@pytest.mark.parametrize(
    ("year", "kernel", "files", "wanted"),
    [
        (2026, True, [], True),
        (2026, False, [], False),
        (2026, False, ["timesync", "timesync/synchronized"], False),
        (2026, None, [], None),
        (2026, None, ["timesync"], False),
        (2026, None, ["timesync", "timesync/synchronized"], True),
        (1970, True, [], False),
        (1970, None, [], False),
    ],
)
def test_clock_is_synchronised_as_far_as_can_be_known(
    tmp_path: Path, year: int, kernel: bool | None, files: list[str], wanted: bool | None
) -> None:
    for name in files:
        (tmp_path / name).mkdir()
    now = datetime(year, 3, 1, tzinfo=timezone.utc)
    assert clock_synchronised(lambda: now, lambda: kernel, tmp_path / "timesync", lambda: None) is wanted


@pytest.mark.parametrize(
    ("kernel", "timedated", "wanted"), [(None, True, True), (None, False, False), (True, False, True)]
)
def test_where_the_kernel_does_not_answer_timedated_does(
    tmp_path: Path, kernel: bool | None, timedated: bool, wanted: bool
) -> None:
    (tmp_path / "timesync").mkdir()
    now = datetime(2026, 3, 1, tzinfo=timezone.utc)
    assert clock_synchronised(lambda: now, lambda: kernel, tmp_path / "timesync", lambda: timedated) is wanted


def test_kernel_answers_or_may_not_be_asked() -> None:
    assert kernel_synchronised() in (True, False, None)
