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
    counting_left_out,
    doubtful_level,
    promise,
    upper_rate,
)

# The limit of a censored window uses this share of the allowed chance of being wrong. Its level is often the highest
# image below the old threshold, so it is chosen by the same images that it is judged by. With all of the chance, limits
# were kept in 94 to 95 % of 400 lines of 300 gamma scores (1 per 100, drift of 0 to 15 %); with this share, in 97 % or
# more.
_SHARE_OF_MISS = 0.6

FRESH = "if they show good parts, use `inspectd recalibrate --fresh`, which takes every image"

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

    def cost(self, threshold: Threshold, scores: _Scores, left_out: int) -> str:
        """Return the effect on the promise if the images left out of the scores [N] show good parts."""
        return cost_of_leaving_out(
            scores,
            threshold,
            rule=self.rule,
            budget=self.budget,
            frames_per_second=self.frames_per_second,
            quiet_frames=0 if self.parts else self.quiet_frames,
            left_out=left_out,
        )


@dataclass(frozen=True, slots=True)
class KeptOut:
    """Images that were kept out of a window because they raised an alarm under the threshold in force.

    The window is censored at that threshold: its scores say nothing about those beyond.
    """

    places: Sequence[int] = ()
    """Before which image of the window each of them was captured, rising."""
    scores: Sequence[float] = ()
    """Their scores."""

    def among(self, scores: _Scores, counted: _Mask) -> _Scores:
        """Return the scores of a window [N] where `counted` (bool [N]), and these among them in order of capture."""
        whole = np.insert(scores, self.places, self.scores)
        return np.asarray(whole[np.insert(counted, self.places, True)], dtype=np.float64)


def conclude(terms: Terms, scores: _Scores, left_out: _Mask, kept_out: KeptOut, *, confirmed: bool) -> Threshold:
    """Compute the threshold of a window.

    The level comes from the images that were taken, so that defects among the others do not raise it. The limits count
    as good whatever nobody has confirmed as bad.

    Args:
        terms: rule, budget and so on.
        scores: of all images of the window, in order of capture [N].
        left_out: those that do not count for the level, bool [N].
        kept_out: images that never were in the window.
        confirmed: a person has confirmed the images left out as bad.
    """
    threshold = terms.calibrate(scores[~left_out])
    if left_out.any() and not confirmed:
        threshold = _not_below_good_frames(terms, threshold, scores, left_out)
        threshold = _counting_left_out(terms, threshold, scores, left_out)
    if kept_out.scores:
        counted = ~left_out if confirmed else np.ones(scores.size, dtype=bool)
        threshold = _counting_kept_out(terms, threshold, kept_out.among(scores, counted), len(kept_out.scores))
    return threshold


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


def _counting_kept_out(terms: Terms, threshold: Threshold, whole: _Scores, count: int) -> Threshold:
    """Count images kept out as good for the upper limit, and withdraw the certificate.

    (Without them, limits of recalibrated lines that had drifted were kept in 65 % of lines instead of 95 %:
    `benchmarks/honesty`.)
    """
    were = "was" if count == 1 else "were"
    why = f"{plural(count, 'image')} {were} kept out for an alarm under the threshold in force: {FRESH}"
    exceedances, per_day = terms.exceedances(whole), terms.frames_per_second * SECONDS_PER_DAY
    limit = upper_rate(exceedances, threshold.value, miss=_SHARE_OF_MISS * (1 - terms.confidence))
    worst = max(threshold.promised_alarms_per_day, limit * per_day)
    if not threshold.certified:
        return replace(threshold, promised_alarms_per_day=worst, reason=f"{threshold.reason}; {why}")
    needed = exceedances.frames_needed(terms.allowed)
    return replace(threshold, certified=False, frames_needed=needed, promised_alarms_per_day=worst, reason=why)
