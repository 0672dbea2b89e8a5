"""From the scores of a full window to its threshold: which images count, for the level and for the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.budgets import SECONDS_PER_DAY, Budget, plural
from calibration.statistics import (
    Exceedances,
    Rule,
    Threshold,
    calibrate,
    cost_of_leaving_out,
    counted_rate,
    counting_left_out,
    doubtful_level,
    most_kept_out,
    promise,
)
from calibration.store import among

_Scores = NDArray[np.float64]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a threshold is computed for."""

    rule: Rule
    """k of n."""
    budget: Budget
    """False alarms allowed."""
    frames_per_second: float
    """Rate of the line, > 0, for budgets per time."""
    confidence: float = 0.95
    """As in `calibrate`, like the two below."""
    quiet_frames: int = 1
    parts: bool = False

    @property
    def allowed(self) -> float:
        """Alarms per frame that the budget allows."""
        return self.budget.per_frame(frames_per_second=self.frames_per_second)

    def calibrate(self, scores: _Scores) -> Threshold:
        """Compute the threshold from the scores [N] of frames that all count."""
        return calibrate(
            scores,
            frames_per_second=self.frames_per_second,
            budget=self.budget,
            rule=self.rule,
            confidence=self.confidence,
            quiet_frames=self.quiet_frames,
            parts=self.parts,
        )

    def exceedances(self, scores: _Scores) -> Exceedances:
        """Measure the alarm episodes of scores [N]."""
        return Exceedances.of(
            scores, rule=self.rule, confidence=self.confidence, quiet_frames=self.quiet_frames, parts=self.parts
        )

    def promise(self, threshold: Threshold) -> str:
        """Return the promise of a threshold, in sentences."""
        return promise(
            threshold, budget=self.budget, frames_per_second=self.frames_per_second, confidence=self.confidence
        )

    def cost(self, found: Conclusion, scores: _Scores, left_out: int) -> str:
        """Return the effect on the promise of images that were left out of the scores [N]; empty if none was."""
        return cost_of_leaving_out(
            scores,
            found.threshold,
            found.if_bad,
            rule=self.rule,
            budget=self.budget,
            frames_per_second=self.frames_per_second,
            quiet_frames=0 if self.parts else self.quiet_frames,
            left_out=left_out,
        )


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The threshold of a window."""

    threshold: Threshold
    """Its rates count every image as good that nobody has confirmed as bad."""
    if_bad: Threshold
    """With the rates that it has if the images left out show bad parts; the same where none is left out."""


def use_fresh(images: int) -> str:
    """The way out where so many images were kept out of a window, and good parts may be among them."""
    they_show = "it shows a good part" if images == 1 else "they show good parts"
    return f"if {they_show}, use `inspectd recalibrate --fresh`, which takes every image"


def conclude(
    terms: Terms, scores: _Scores, left_out: _Mask, kept_out: Sequence[tuple[int, float]], *, confirmed: bool
) -> Conclusion:
    """Compute the threshold of a window.

    The level comes from the images that were taken, so that defects among the others do not raise it. The rates count
    as good whatever nobody has confirmed as bad.

    Args:
        terms: rule, budget and so on.
        scores: of all images of the window, in order of capture [N].
        left_out: those that do not count for the level, bool [N].
        kept_out: images that never were in the window because they raised an alarm under the threshold in force: before
            which image each was captured, rising, and its score. The window is censored at that threshold: its scores
            say nothing about those beyond.
        confirmed: a person has confirmed the images left out as bad.
    """
    threshold = if_bad = terms.calibrate(scores[~left_out])
    if left_out.any() and not confirmed:
        threshold = if_bad = _not_below_good_frames(terms, threshold, scores, left_out)
        threshold = _counting_left_out(terms, threshold, scores, left_out)
    if kept_out:
        counted = ~left_out if confirmed else np.ones(scores.size, dtype=bool)
        whole, spare = among(scores, counted, kept_out), most_kept_out(scores.size) - len(kept_out)
        threshold = _counting_kept_out(terms, threshold, whole, len(kept_out), spare)
    return Conclusion(threshold, if_bad)


def _not_below_good_frames(terms: Terms, threshold: Threshold, scores: _Scores, left_out: _Mask) -> Threshold:
    """Raise a threshold that is nearer to the kept frames than to frames left out that may be good."""
    level = doubtful_level(scores, left_out, terms.allowed)
    if level is None:
        return threshold
    episodes = terms.exceedances(scores[~left_out]).counts.at(level)
    return threshold.raised_to(
        level, episodes=episodes, why="halfway to the images left out, which may show good parts"
    )


def _counting_left_out(terms: Terms, threshold: Threshold, scores: _Scores, left_out: _Mask) -> Threshold:
    """Count frames left out as good, because nobody has confirmed them as bad yet."""
    counted = counting_left_out(
        threshold,
        terms.exceedances(scores),
        left_out=int(left_out.sum()),
        lowest_left_out=float(scores[left_out].min()),
        budget=terms.budget,
        frames_per_second=terms.frames_per_second,
    )
    return replace(counted, episodes=terms.exceedances(scores[~left_out]).counts.at(counted.value))


def _counting_kept_out(terms: Terms, threshold: Threshold, whole: _Scores, count: int, spare: int) -> Threshold:
    """Count images kept out as good for the rates, and withdraw the certificate.

    With more than `spare` more of them the window would have been rejected.

    (Without them, limits of recalibrated lines that had drifted were kept in 65 % of lines instead of 95 %, and the
    realised rate was 2.3 to 4.4 times the best guess: `benchmarks/honesty`.)
    """
    were, count_as = ("was", "counts") if count == 1 else ("were", "count")
    kept_out = f"{plural(count, 'image')} {were} kept out for an alarm under the threshold in force"
    why = f"{kept_out} and {count_as} as good: {use_fresh(count)}"
    exceedances, per_day = terms.exceedances(whole), terms.frames_per_second * SECONDS_PER_DAY
    rate = counted_rate(exceedances, threshold.value, spare=spare)
    worst = max(threshold.promised_alarms_per_day, rate.worst * per_day)
    likely = max(threshold.expected_alarms_per_day, rate.likely * per_day)
    counted = replace(threshold, promised_alarms_per_day=worst, expected_alarms_per_day=likely)
    if not threshold.certified:
        return replace(counted, reason=f"{threshold.reason}; {why}")
    return replace(counted, certified=False, frames_needed=exceedances.frames_needed(terms.allowed), reason=why)
