"""The measured frame rate."""

from __future__ import annotations

import numpy as np
import pytest

from agent.parts.frame_rate import RateMeter


def test_rate_is_unknown_before_the_second_frame() -> None:
    meter = RateMeter()
    assert meter.frames_per_second is None
    meter.update(5.0)
    assert (meter.frames_per_second, meter.count) == (None, 1)


def test_rate_follows_a_camera_that_slows_down() -> None:
    meter, now = RateMeter(), 0.0
    for interval in [0.05] * 100 + [0.1] * 1000:
        now += interval
        meter.update(now)
    assert meter.frames_per_second == pytest.approx(10.0, rel=0.01)


def test_one_late_frame_changes_the_rate_by_a_percent() -> None:
    meter = RateMeter()
    for index in range(200):
        meter.update(index * 0.05)
    meter.update(200 * 0.05 + 0.05)
    assert meter.frames_per_second == pytest.approx(20.0 / 1.01, rel=1e-3)


def test_rate_of_frames_with_equal_times_is_finite() -> None:
    meter = RateMeter()
    for _ in range(3):
        meter.update(1.0)
    assert meter.frames_per_second == pytest.approx(1e6)


def test_rate_leaves_a_stop_at_night_out() -> None:
    meter = RateMeter()
    for index in range(50):
        meter.update(index * 0.05)
    for index in range(50):
        meter.update(8 * 3600.0 + index * 0.05)
    assert meter.frames_per_second == pytest.approx(20.0)


def test_rate_follows_a_line_that_runs_at_a_twentieth() -> None:
    """Its first intervals look like stops, until they are the usual ones."""
    meter, now = RateMeter(), 0.0
    for interval in [0.05] * 100 + [1.0] * 100:
        now += interval
        meter.update(now)
    assert meter.frames_per_second == pytest.approx(1.0)


def test_rate_of_a_triggered_camera_is_its_mean_rate_and_not_that_of_its_median_interval() -> None:
    """Parts arrive at random, two a second: half of the intervals are shorter than 0.35 s."""
    meter, chance = RateMeter(10_000), np.random.default_rng(0)
    for now in np.cumsum(chance.exponential(0.5, 10_000)):
        meter.update(float(now))
    assert meter.frames_per_second == pytest.approx(2.0, rel=0.03)


def test_rate_of_a_folder_that_is_read_in_bursts_is_that_of_its_files() -> None:
    """Four files at once, 0.25 s apart: that is 16 a second. A stop is left out all the same."""
    meter = RateMeter()
    for burst in range(50):
        for file in range(4):
            meter.update(burst * 0.25 + file * 0.005 + (40.0 if burst > 30 else 0.0))
    assert meter.frames_per_second == pytest.approx(16.0, rel=0.1)


def test_rate_of_a_camera_that_fell_silent_is_unknown() -> None:
    meter = RateMeter()
    assert meter.rate_at(0.0) is None
    for index in range(100):
        meter.update(index * 0.05)
    last = 99 * 0.05
    assert meter.rate_at(last + 2.0) == pytest.approx(20.0)
    assert meter.rate_at(last + 2.1) is None
    assert meter.frames_per_second == pytest.approx(20.0), "the rate of the line is still known"


def test_rate_of_a_slow_line_is_not_stale_between_two_parts() -> None:
    meter = RateMeter()
    for index in range(30):
        meter.update(index * 30.0)
    assert meter.rate_at(29 * 30.0 + 60.0) == pytest.approx(1 / 30.0)
    assert meter.rate_at(29 * 30.0 + 301.0) is None
