"""The promise of a threshold, in sentences that need no statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.budgets import SECONDS_PER_DAY, Budget, number_text, percent, plural, rounded, two_digits
from calibration.statistics.episodes import EpisodeCounts
from calibration.statistics.rule import Rule
from calibration.statistics.threshold import Threshold

# A best guess is stated if the window would hold this many false alarms at that rate, on average. From windows of 100
# and 300 frames the median of realised rates over it was 0.4 to 1.7 for 1 per 1000 (eleven distributions and sets), but
# 0.1 to 4 for 1 per 10,000.
_LEAST_EXPECTED = 0.1


def promise(threshold: Threshold, *, budget: Budget, frames_per_second: float, confidence: float) -> str:
    """Return the budget, whether the window can promise it, and the rates, all in the unit of the budget.

    >>> from calibration.statistics import calibrate
    >>> budget, scores = Budget.parse("1 per 100 parts"), np.random.default_rng(0).gamma(4.0, size=5000)
    >>> threshold = calibrate(scores, frames_per_second=20.0, budget=budget)
    >>> print(*promise(threshold, budget=budget, frames_per_second=20.0, confidence=0.95).split(". "), sep="\\n")
    You asked for at most 1 false alarm per 100 parts
    5,000 parts are enough to promise that, with 95% confidence
    Likely: 0.74 per 100 parts; at worst 1.
    >>> threshold = calibrate(scores[:300], frames_per_second=20.0, budget=budget)
    >>> print(*promise(threshold, budget=budget, frames_per_second=20.0, confidence=0.95).split(". "), sep="\\n")
    You asked for at most 1 false alarm per 100 parts
    300 parts cannot promise that
    Likely: 1 per 100 parts; at worst 2.5 (95% confidence).
    >>> budget = Budget.parse("1 per shift")
    >>> threshold = calibrate(scores[:300], frames_per_second=20.0, budget=budget)
    >>> print(*promise(threshold, budget=budget, frames_per_second=20.0, confidence=0.95).split(". "), sep="\\n")
    You asked for at most 1 false alarm per shift
    300 images can neither promise that nor tell how many to expect
    At worst 7,600 per shift (95% confidence).
    """
    rates = StatedRates.of(threshold, budget=budget, frames_per_second=frames_per_second)
    asked, size = f"You asked for at most {budget.words}.", f"{threshold.frames:,} {budget.noun}"
    likely = f"Likely: {rates.likely_text} per {budget.span}; at worst {rates.worst_text}"
    if threshold.certified:
        return f"{asked} {size} are enough to promise that, with {percent(confidence)} confidence. {likely}."
    sure = f"({percent(confidence)} confidence)"
    if not rates.carried:
        worst = f"At worst {rates.worst_text} per {budget.span} {sure}."
        return f"{asked} {size} can neither promise that nor tell how many to expect. {worst}"
    return f"{asked} {size} cannot promise that. {likely} {sure}."


@dataclass(frozen=True, slots=True)
class StatedRates:
    """The false-alarm rates of a threshold, in alarms per span of the budget."""

    likely: float
    """Best estimate."""
    worst: float
    """Upper limit at the confidence of the promise."""
    likely_text: str
    """`likely` with two digits."""
    worst_text: str
    """`worst` with two digits, rounded up."""
    carried: bool = True
    """The window is long enough for a best guess."""

    @classmethod
    def of(cls, threshold: Threshold, *, budget: Budget, frames_per_second: float) -> StatedRates:
        """Convert the rates of a threshold into the unit of the budget."""
        likely = budget.in_span(threshold.expected_alarms_per_day, frames_per_second=frames_per_second)
        worst = budget.in_span(threshold.promised_alarms_per_day, frames_per_second=frames_per_second)
        up = two_digits(worst, up=True)
        # A certified limit is within the budget, so rounding must not take it beyond.
        worst_text = number_text(min(up, budget.alarms) if threshold.certified else up)
        return cls(likely, worst, rounded(likely), worst_text, _carried(threshold, frames_per_second))


def _carried(threshold: Threshold, frames_per_second: float) -> bool:
    """Return whether the window is long enough for its best guess to be a figure that people may rely on."""
    per_frame = threshold.expected_alarms_per_day / (frames_per_second * SECONDS_PER_DAY)
    return threshold.certified or per_frame * threshold.effective_sample_size >= _LEAST_EXPECTED


def cost_of_leaving_out(
    scores: NDArray[np.float64],
    threshold: Threshold,
    if_bad: Threshold,
    *,
    rule: Rule,
    budget: Budget,
    frames_per_second: float,
    quiet_frames: int,
    left_out: int,
) -> str:
    """Return what the images left out do to the promise, which counts them as good; empty if none was left out.

    Args:
        scores: scores of the whole window [N], images left out included.
        threshold: with the rates of the promise.
        if_bad: with those that it has if they show bad parts.
        left_out: images left out.
    """
    if not left_out:
        return ""
    looks = "looks unlike the rest and was" if left_out == 1 else "look unlike the rest and were"
    it, with_it = ("it shows a bad part", "With it") if left_out == 1 else ("they show bad parts", "With them")
    fact = f"{plural(left_out, 'image')} {looks} left out."
    episodes = EpisodeCounts(rule.statistic(scores), quiet_frames=quiet_frames).at(threshold.value)
    more = max(0, episodes - threshold.episodes)
    if not more:
        return f"{fact} {with_it}, the window has no more alarms than without."
    rates = StatedRates.of(if_bad, budget=budget, frames_per_second=frames_per_second)
    likely = "the window is too short for a best guess"
    if rates.carried:
        now = StatedRates.of(threshold, budget=budget, frames_per_second=frames_per_second).likely_text
        likely = f"the likely rate is {rates.likely_text} per {budget.span} instead of {now}"
    count_as = f"which {'counts' if more == 1 else 'count'} as false until a person has looked"
    return f"{fact} {with_it}, the window has {plural(more, 'more alarm')}, {count_as}. If {it}, {likely}."
