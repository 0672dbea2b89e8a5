"""The parts that run on every frame: false and true drift events, and processor time per frame."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.calibration.cells import CORRELATIONS, LINE_FRAMES_PER_SECOND
from benchmarks.calibration.lines import DISTRIBUTIONS, gaussian_ar1
from calibration import AlarmRule, DriftMonitor, Rule, ScoreLog, score_reference

WEEK_FRAMES = int(7 * 86_400 * LINE_FRAMES_PER_SECOND)

# Windows: a short one, and one long enough for most budgets.
REFERENCE_FRAMES = (1_000, 30_000)
_STRETCH = 100_000


def measure_drift(*, weeks: int = 3, shifted_lines: int = 40) -> list[dict[str, Any]]:
    """Return false events per week, and the effective frames until a shift by one standard deviation is flagged."""
    rows = []
    for correlation in CORRELATIONS:
        for reference_frames in REFERENCE_FRAMES:
            generator = np.random.default_rng([11, round(correlation * 100), reference_frames])
            events = [_false_events(generator, correlation, reference_frames, week) for week in range(weeks)]
            delays = [_delay(generator, correlation, reference_frames, line) for line in range(shifted_lines)]
            found = [delay for delay in delays if delay is not None]
            rows.append(
                {
                    "correlation": correlation,
                    "reference_frames": reference_frames,
                    "false_events_per_week": float(np.mean(events)),
                    "most_false_events": int(max(events)),
                    "median_delay": float(np.median(found)),
                    "longest_delay": float(max(found)),
                    "flagged_before": len(delays) - len(found),
                }
            )
    return rows


def _false_events(generator: np.random.Generator, correlation: float, reference_frames: int, week: int) -> int:
    """Return the number of drift events in one week of a line that does not change."""
    distribution = DISTRIBUTIONS[week % len(DISTRIBUTIONS)]
    stretches = _Stretches(generator, correlation)
    reference = score_reference(distribution.scores(stretches.take(reference_frames)))
    monitor = DriftMonitor(reference)
    for _ in range(WEEK_FRAMES // _STRETCH):
        monitor.extend(distribution.scores(stretches.take(_STRETCH)))
    return monitor.drift.events


def _delay(generator: np.random.Generator, correlation: float, reference_frames: int, line: int) -> float | None:
    """Return the effective frames from a shift by one standard deviation to the flag.

    Infinite if it is not raised, None if it was raised before the shift.
    """
    distribution = DISTRIBUTIONS[line % len(DISTRIBUTIONS)]
    stretches = _Stretches(generator, correlation)
    worth = (1 + correlation) / (1 - correlation)
    monitor = DriftMonitor(score_reference(distribution.scores(stretches.take(reference_frames))))
    # The line is steady at first, until the centre is refined.
    monitor.extend(distribution.scores(stretches.take(int(4_000 * worth))))
    if monitor.flag:
        return None
    step = max(1, int(20 * worth))
    for effective in range(20, 20_001, 20):
        monitor.extend(distribution.scores(stretches.take(step)) + distribution.spread)
        if monitor.flag:
            return float(effective)
    return float("inf")


class _Stretches:
    """An endless Gaussian AR(1) series, generated in pieces."""

    def __init__(self, generator: np.random.Generator, correlation: float) -> None:
        self._generator, self._correlation = generator, correlation
        self._last = float(generator.standard_normal())

    def take(self, frames: int) -> np.ndarray:
        piece = gaussian_ar1(self._generator, self._correlation, (1, frames + 1))[0]
        # Continue from the last value: the piece's own start fades with the powers of the correlation.
        piece += (self._last - piece[0]) * self._correlation ** np.arange(frames + 1)
        self._last = float(piece[-1])
        return piece[1:]


def microseconds_per_frame(*, frames: int = 200_000) -> dict[str, float]:
    """Return the processor time per frame of the online rule, the drift monitor and the score log, each alone."""
    scores = DISTRIBUTIONS[0].scores(gaussian_ar1(np.random.default_rng(2), 0.9, (1, frames))[0])
    values = scores.tolist()
    rule, monitor = AlarmRule(Rule(k=3, n=5)), DriftMonitor(score_reference(scores[:30_000]))
    took = {"rule": _each(lambda: [rule.update(value) for value in values], frames)}
    took["drift"] = _each(lambda: [monitor.update(value) for value in values], frames)
    with TemporaryDirectory() as folder, ScoreLog(Path(folder)) as log:
        took["score log"] = _each(
            lambda: [log.append(i / 20, i, value, value) for i, value in enumerate(values)], frames
        )
    return {f"{name}_microseconds": value for name, value in took.items()}


def _each(work: Any, frames: int) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) / frames * 1e6
