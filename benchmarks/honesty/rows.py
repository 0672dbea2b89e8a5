"""The rows of the table: situations that a line gets into, each on many lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration.lines import DISTRIBUTIONS, gaussian_ar1
from benchmarks.honesty.real_scores import RealScores
from benchmarks.honesty.station import FRAMES_PER_SECOND, Window, first_window, plan_for, second_window
from calibration import TrainingScores
from calibration.budgets.budget import SECONDS_PER_DAY
from calibration.statistics.episodes import EpisodeCounts
from calibration.statistics.stated_rates import StatedRates

Scores = NDArray[np.float64]
Rate = Callable[[float], float]
"""True false alarms per frame at a threshold."""


@dataclass(slots=True)
class Row:
    """Results of the lines of one situation."""

    situation: str
    scores: str
    frames: int
    budget: str
    lines: int = 0
    windows: list[tuple[Window, float]] = field(default_factory=list)
    """Windows that gave a threshold, with the realised rate over the budget."""
    ratios: list[float] = field(default_factory=list)
    """Realised rate over the best guess, where one is stated."""
    realised: list[float] = field(default_factory=list)
    """Realised rate per frame, where recall is measured."""
    recalls: list[float] = field(default_factory=list)
    """Share of the bad parts above the threshold."""
    oracle: Callable[[float], float] | None = None
    """Recall of a threshold that knows the line and realises this rate per frame."""

    def add(self, window: Window, rate: Rate, bad: Scores | None = None) -> None:
        """Take in the window of one line, the true rate at any threshold, and scores of bad parts."""
        self.lines += 1
        calibration = window.calibration
        if calibration is None:
            return
        threshold, budget = calibration.threshold, calibration.budget
        fps = calibration.frames_per_second
        realised = rate(threshold.value)
        stated = StatedRates.of(threshold, budget=budget, frames_per_second=fps)
        # Budgets in time: the line runs at its true rate, whatever was measured.
        allowed = budget.per_frame(frames_per_second=FRAMES_PER_SECOND)
        self.windows.append((window, realised / allowed))
        if stated.carried:
            self.ratios.append(realised / (threshold.expected_alarms_per_day / (fps * SECONDS_PER_DAY)))
        if bad is not None and bad.size:
            self.realised.append(realised)
            self.recalls.append(float(np.mean(bad > threshold.value)))

    @property
    def certified(self) -> list[float]:
        """Realised rate over the budget of the certified lines."""
        return [over for window, over in self.windows if window.calibration and window.calibration.threshold.certified]

    @property
    def false_certificates(self) -> int:
        """Certified lines that break their budget."""
        return sum(over > 1 for over in self.certified)

    @property
    def limits_kept(self) -> list[bool]:
        """Of the lines that are not certified: whether the stated limit was kept."""
        kept = []
        for window, over in self.windows:
            made = window.calibration
            if made is not None and not made.threshold.certified:
                limit = made.threshold.promised_alarms_per_day / made.budget.per_day(
                    frames_per_second=made.frames_per_second
                )
                kept.append(over <= limit)
        return kept


def rate_of(good: Scores) -> Rate:
    """Return the true rate on a line whose parts are drawn from these."""
    rising = np.sort(good)
    return lambda level: 1 - float(np.searchsorted(rising, level, side="right")) / rising.size


def real_rows(found: RealScores, training: TrainingScores | None, lines: int) -> Iterator[Row]:
    """Yield the rows of a set of real frames."""
    rate = rate_of(found.good)
    for budget in ("1 per 100 parts", "1 per 1000 parts"):
        # A set cannot show a rate of less than a few of its images.
        if found.good.size < 3 * float(budget.split()[2]):
            continue
        for frames in (50, 100, 300, 1_000, 3_000):
            if frames <= 0.75 * found.good.size:
                yield _clean(found, training, rate, budget, frames, lines)
    frames = 300 if found.good.size > 400 else 150
    for share in (0.05, 0.1, 0.3):
        yield _with_defects(found, training, rate, share, frames, lines)
    for fresh in (False, True):
        yield _drifted(found, fresh, frames, lines)
    yield _four_frames(found, training, lines)


def _clean(found: RealScores, training: TrainingScores | None, rate: Rate, budget: str, frames: int, lines: int) -> Row:
    row = Row("good parts", found.name, frames, budget, oracle=_oracle(found))
    for seed in range(lines):
        scores = np.random.default_rng(seed).permutation(found.good)[:frames]
        row.add(first_window(plan_for(budget, frames, parts=True), scores, training=training), rate, found.bad)
    return row


def _oracle(found: RealScores) -> Callable[[float], float]:
    return lambda rate: float(np.mean(found.bad > np.quantile(found.good, 1 - rate, method="inverted_cdf")))


def _with_defects(
    found: RealScores, training: TrainingScores | None, rate: Rate, share: float, frames: int, lines: int
) -> Row:
    row = Row(f"{share:.0%} of defects in the window", found.name, frames, "1 per 100 parts")
    for seed in range(lines):
        chance = np.random.default_rng(seed)
        scores, bad = chance.permutation(found.good)[:frames], chance.permutation(found.bad)
        count = min(round(share * frames), bad.size // 2)
        scores[chance.choice(frames, count, replace=False)] = bad[:count]
        window = first_window(plan_for(row.budget, frames, parts=True), scores, training=training)
        row.add(window, rate, bad[count:])
    return row


def _drifted(found: RealScores, fresh: bool, frames: int, lines: int) -> Row:
    """Good parts score a tenth higher than when calibrated."""
    row = Row(f"recalibrated after drift{', --fresh' if fresh else ''}", found.name, frames, "1 per 100 parts")
    rate = rate_of(1.1 * found.good)
    plan = plan_for(row.budget, frames, parts=True)
    for seed in range(lines):
        chance = np.random.default_rng(seed)
        before, after = chance.choice(found.good, frames), 1.1 * chance.choice(found.good, 2 * frames)
        row.add(second_window(plan, before, after, fresh=fresh), rate)
    return row


def _four_frames(found: RealScores, training: TrainingScores | None, lines: int) -> Row:
    """Each part is shown by four frames, which differ by 3 % of its score."""
    frames = 1_000
    row = Row("4 frames a part", found.name, frames, "1 per 100 parts")
    chance = np.random.default_rng(99)
    hottest = np.max(
        np.repeat(found.good[:, None], 4, 1) * (1 + 0.03 * chance.standard_normal((found.good.size, 4))), 1
    )
    of_parts = rate_of(hottest)
    for seed in range(lines):
        chance = np.random.default_rng(seed)
        parts = np.repeat(chance.choice(found.good, frames // 4), 4)
        scores = parts * (1 + 0.03 * chance.standard_normal(frames))
        plan = plan_for(row.budget, frames, parts=False, frames_per_part=4)
        # An alarm is a part's: a rate per part is four times that per frame.
        row.add(first_window(plan, scores, training=training), lambda level: of_parts(level) / 4)
    return row


def simulated_rows(lines: int) -> Iterator[Row]:
    """Yield the rows of simulated lines: dependent frames, budgets per time, and a stop of the line."""
    for law in DISTRIBUTIONS:
        for correlation, frames, budget, stop_seconds in (
            (0.0, 1_000, "1 per 1000 frames", 0.0),
            (0.0, 3_000, "1 per minute", 0.0),
            (0.0, 3_000, "1 per minute", 28_800.0),
            (0.5, 3_000, "1 per 100 frames", 0.0),
            (0.9, 3_000, "1 per 100 frames", 0.0),
        ):
            name = "stop of 8 h" if stop_seconds else f"correlation {correlation:g}"
            row = Row(name, law.name, frames, budget)
            long = gaussian_ar1(np.random.default_rng(12_345), correlation, (1, 1_000_000))[0]
            rate = _episode_rate(law.scores(long))
            for seed in range(lines):
                scores = law.scores(gaussian_ar1(np.random.default_rng(seed), correlation, (1, frames + 50))[0, 50:])
                # The agent's scores are not below 0.
                shift = min(float(scores.min()), 0.0)
                window = first_window(plan_for(budget, frames, parts=False), scores - shift, stop_seconds=stop_seconds)
                row.add(window, _shifted(rate, shift))
            yield row


def _episode_rate(series: Scores) -> Rate:
    counts = EpisodeCounts(series)
    return lambda level: counts.at(level) / series.size


def _shifted(rate: Rate, shift: float) -> Rate:
    return lambda level: rate(level + shift)
