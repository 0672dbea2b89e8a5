"""Rows of lines that judge frames, because nobody said which of them show the same part: 2 of 3, quiet time 2 s."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.calibration.lines import DISTRIBUTIONS, Distribution, gaussian_ar1
from benchmarks.honesty.part_rows import PartScores
from benchmarks.honesty.row import Case, Row, Scores, Truth
from benchmarks.honesty.station import FRAMES_PER_SECOND, Setup, first_window
from calibration import Rule
from calibration.statistics.episodes import EpisodeCounts

# The defaults of a camera without known parts.
_RULE, _QUIET_SECONDS = Rule(2, 3), 2.0
_STOP_SECONDS = 28_800.0

# A line that is long enough to show the rarest of these budgets dozens of times.
_LONG = 4_000_000


def stream_rows(found: PartScores, lines: int) -> Iterator[Row]:
    """Yield the rows of a camera that sees each part for some frames: windows, budgets in time, and a stop."""
    setup = Setup(parts=False, rule=_RULE, clear_after_seconds=_QUIET_SECONDS, training=found.training)
    each = found.good.shape[1]
    long = found.good[np.random.default_rng(12_345).integers(0, len(found.good), _LONG // 4 // each)].ravel()
    bad = np.array([_RULE.statistic(frames).max() for frames in found.bad])
    truth = Truth(_episode_rate(long, setup), FRAMES_PER_SECOND, bad)

    def row(situation: str, window: int, budget: str, stop_seconds: float = 0.0) -> Row:
        def case(seed: int) -> Case:
            parts = np.random.default_rng(seed).permutation(found.good)[: -(-window // each)]
            return Case(first_window(setup, budget, parts.ravel()[:window], stop_seconds=stop_seconds), truth)

        return Row.of(situation, found.name, window, budget, map(case, range(lines)))

    for window in (100, 300, 1_000, 3_000):
        yield row("frames, 2 of 3", window, "1 per minute")
    yield row("frames, 2 of 3", 3_000, "1 per 10 minutes")
    yield row("frames, 2 of 3, stop of 8 h", 3_000, "1 per minute", _STOP_SECONDS)


def law_rows(lines: int) -> Iterator[Row]:
    """Yield the rows of scores that follow a law: dependent frames, rare budgets, and a stop."""
    every_frame, usual = Setup(parts=False), Setup(parts=False, rule=_RULE, clear_after_seconds=_QUIET_SECONDS)
    for law in DISTRIBUTIONS:
        yield _law_row(law, 0.0, every_frame, 1_000, "1 per 1000 frames", lines)
        yield _law_row(law, 0.5, every_frame, 3_000, "1 per 100 frames", lines)
        yield _law_row(law, 0.9, every_frame, 3_000, "1 per 100 frames", lines)
        yield _law_row(law, 0.5, usual, 3_000, "1 per minute", lines)
        yield _law_row(law, 0.5, usual, 3_000, "1 per minute", lines, stop_seconds=_STOP_SECONDS)
        yield _law_row(law, 0.5, usual, 3_000, "1 per hour", lines)


def _law_row(
    law: Distribution,
    correlation: float,
    setup: Setup,
    window: int,
    budget: str,
    lines: int,
    *,
    stop_seconds: float = 0.0,
) -> Row:
    long = law.scores(gaussian_ar1(np.random.default_rng(12_345), correlation, (1, _LONG))[0])
    rate = _episode_rate(long, setup)

    def case(seed: int) -> Case:
        scores = law.scores(gaussian_ar1(np.random.default_rng(seed), correlation, (1, window + 50))[0, 50:])
        # The agent's scores are not below 0.
        shift = min(float(scores.min()), 0.0)
        found = first_window(setup, budget, scores - shift, stop_seconds=stop_seconds)
        return Case(found, Truth(lambda level: rate(level + shift), FRAMES_PER_SECOND, np.empty(0)))

    situation = f"correlation {correlation:g}, {setup.rule}{', stop of 8 h' if stop_seconds else ''}"
    return Row.of(situation, law.name, window, budget, map(case, range(lines)))


def _episode_rate(series: Scores, setup: Setup) -> Callable[[float], float]:
    quiet_frames = max(1, round(setup.clear_after_seconds * FRAMES_PER_SECOND))
    counts = EpisodeCounts(setup.rule.statistic(series), quiet_frames=quiet_frames)
    return lambda level: counts.at(level) / series.size
