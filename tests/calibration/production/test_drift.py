"""Drift: not raised on a steady line, raised within 2,000 effective frames after a shift."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import DriftMonitor, score_reference
from tests.calibration.lines import scores


@pytest.mark.parametrize("reference_frames", [300, 5_000])
@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.98])
def test_drift_steady_line_raises_nothing(correlation: float, reference_frames: int) -> None:
    """A tenth of the week that the benchmark simulates."""
    line = scores(1_200_000, correlation=correlation, seed=reference_frames)
    monitor = DriftMonitor(score_reference(line[:reference_frames]))
    monitor.extend(line[reference_frames:])
    assert monitor.drift.events == 0


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.98])
def test_drift_shift_by_one_sigma_is_flagged_in_time(correlation: float, direction: float) -> None:
    worth = (1 + correlation) / (1 - correlation)
    line = scores(int(6_000 * worth), correlation=correlation, seed=8)
    steady = int(4_000 * worth)
    monitor = DriftMonitor(score_reference(line[: steady // 2]))
    assert not monitor.extend(line[steady // 2 : steady])
    monitor.extend(line[steady:] + direction * line.std())
    assert monitor.flag
    assert np.sign(monitor.drift.shift) == direction


def test_drift_right_after_calibration_is_flagged_too() -> None:
    """The centre is still being refined then, but not by shifted blocks."""
    line = scores(12_000, seed=4)
    monitor = DriftMonitor(score_reference(line[:1_000]))
    monitor.extend(line[1_000:3_000] + line.std())
    assert monitor.flag


def test_drift_flag_is_lowered_when_the_scores_return() -> None:
    line = scores(40_000, seed=5)
    monitor = DriftMonitor(score_reference(line[:5_000]))
    monitor.extend(line[5_000:8_000] + line.std())
    assert monitor.flag
    monitor.extend(line[8_000:])
    assert not monitor.flag
    assert monitor.drift.events == 1


def test_drift_is_not_raised_by_a_burst_of_defects() -> None:
    """Thirty successive defects of a hundred sigma are an alarm, not drift."""
    line = scores(20_000, seed=6)
    line[10_000:10_030] += 100 * line.std()
    monitor = DriftMonitor(score_reference(line[:5_000]))
    monitor.extend(line[5_000:])
    assert monitor.drift.events == 0


def test_drift_frame_by_frame_equals_all_at_once() -> None:
    line = scores(30_000, correlation=0.5, seed=7)
    line[15_000:] += 2 * line.std()
    one, many = DriftMonitor(score_reference(line[:2_000])), DriftMonitor(score_reference(line[:2_000]))
    flags = [one.update(value) for value in line[2_000:].tolist()]
    for part in np.array_split(line[2_000:], 17):
        many.extend(part)
    assert one.drift.events == many.drift.events == 1
    assert one.drift.shift == pytest.approx(many.drift.shift)
    assert flags[-1]
