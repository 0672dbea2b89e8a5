"""From a window of good scores and a budget to a threshold, and to what that threshold can promise.

Inside the window, *conformal* and distribution-free: take the lowest level at which even the upper limit on the rate of
episodes keeps the budget. The count of episodes at a level is compared with a Poisson count stretched by the dispersion
that the window itself shows, so that clustered episodes count as the few independent ones that they are. With no
episode left, T frames of dispersion D bound the rate by D · (-ln α) / T: the rule of three. (Vovk, Gammerman & Shafer
2005, section 2.2, for the idea on independent scores; Wilks 1941 for the limits.) Scanning from the top and stopping
at the first level that fails makes the choice of the level part of the guarantee: the realised rate exceeds the
budget only if the count at the one true level fell below its own limit.

Beyond the window: *peaks over threshold* (`calibration.tail`), never certified. No level would be right there: an
honest upper limit from 300 frames on an alarm a day lies so far out that defects pass under it. So the level and the
promise part ways. The level is the median of what the budget may need, as likely too high as too low, and leans
towards the lower quartile where the median would hide defects of six standard deviations that the quartile shows;
the promise is the upper limit on the rate *at that level*, above the budget, and says what the window is good for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.budget import SECONDS_PER_DAY, Budget
from calibration.errors import CalibrationError
from calibration.exceedances import Exceedances
from calibration.rule import Rule

CONFORMAL = "conformal"
PEAKS_OVER_THRESHOLD = "peaks over threshold"

# Chance, by the best guess, that an extrapolated level is higher than the budget needs ...
_TOO_HIGH = 1 / 2
# ... and where that would hide defects. Lower still would find few more and raise false alarms further.
_TOO_HIGH_FOR_DEFECTS = 1 / 4

# The defects that are not to be hidden add this many standard deviations of the good scores.
_DEFECT_SIGMAS = 6.0
# Hidden is what costs more than so much of their detection; where even the lower level detects less than half of them,
# this line cannot show them within any such budget, and nothing is gained. On lines that no benchmark was run on
# (Gumbel, Rayleigh, normal, logistic, Student t5, Burr, inverse Gaussian, three mixtures), cells that keep 90 % of the
# right level's detection went from 81 % to 91 %; the median of realised rates over a budget of one a day from 3.5 to
# 5.3. A tenth instead of a twentieth: 89 % and 4.9. Without the half: 92 % and 6.2.
_COST, _LEAST_DETECTED = 0.05, 0.5

# Under this many frames neither a dependence nor a tail can be told from noise.
LEAST_FRAMES = 50


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold on the rule's statistic, and what it can promise."""

    value: float
    """The rule alarms where its statistic lies above this, in units of the scores."""
    method: str
    """"conformal" (inside the window, distribution-free) or "peaks over threshold" (extrapolated)."""
    promised_alarms_per_day: float
    """Upper bound on alarm episodes per day of good parts, at the confidence asked for."""
    effective_sample_size: float
    """Independent frames that the window is worth."""
    certified: bool
    """True where the promise keeps the budget and rests on the window alone."""
    frames_needed: int | None
    """Length of a window that would certify this budget on this line, frames in all; None where it is certified."""
    reason: str
    """One sentence: why it is certified, or what is missing."""
    expected_alarms_per_day: float
    """Best estimate of the alarm episodes per day of good parts."""
    dispersion: float
    """Variance of the episode counts over that of independent ones, as estimated; 1 is independent."""
    episodes: int
    """Episodes above the threshold within the window itself."""
    frames: int
    """Length of the window, frames."""

    def raised_to(self, level: float, *, episodes: int, why: str) -> Threshold:
        """The same with a higher level, above which the window has `episodes`; itself where the level is not higher.

        The rates stay those of the lower level, so the promise holds all the more.
        """
        if level <= self.value:
            return self
        return replace(self, value=level, episodes=episodes, reason=f"{self.reason}; raised {why}")


def calibrate(
    scores: ArrayLike,
    *,
    frames_per_second: float,
    budget: Budget = Budget(alarms=1, per_seconds=SECONDS_PER_DAY),  # noqa: B008 - frozen
    rule: Rule = Rule(k=1, n=1),  # noqa: B008 - frozen
    confidence: float = 0.95,
    quiet_frames: int = 1,
) -> Threshold:
    """Find the threshold for a budget of false alarms from the scores of good frames, in the order they came.

    Args:
        scores: finite scores [N] of successive good frames, N ≥ 50.
        frames_per_second: rate of the line, > 0; turns a budget per time into one per frame.
        budget: false alarms allowed.
        rule: k of n.
        confidence: of the promise, between 0.5 and 1.
        quiet_frames: frames below the threshold that end an alarm episode (see `calibration.episodes`).

    Raises:
        CalibrationError: too few scores, a score that is no number, scores that are all the same, an impossible
        setting.

    >>> scores = np.random.default_rng(0).gamma(4.0, size=5000)
    >>> budget = Budget(alarms=1, per_frames=100)
    >>> threshold = calibrate(scores, frames_per_second=20.0, budget=budget)
    >>> threshold.certified, threshold.method, round(threshold.value, 3)
    (True, 'conformal', 10.52)
    """
    values = _checked(scores, frames_per_second, rule, confidence, quiet_frames)
    evidence = Exceedances.of(values, rule=rule, confidence=confidence, quiet_frames=quiet_frames)
    return threshold_for(evidence, budget=budget, frames_per_second=frames_per_second)


def threshold_for(evidence: Exceedances, *, budget: Budget, frames_per_second: float) -> Threshold:
    """Find the threshold for a budget from the evidence of a window: `calibrate`, where many budgets are asked for."""
    allowed = budget.per_frame(frames_per_second=frames_per_second)
    level = evidence.lowest_certified(allowed)
    if level is not None:
        return _certified(evidence, level, budget, frames_per_second * SECONDS_PER_DAY)
    return _extrapolated(evidence, allowed, budget, frames_per_second)


def _certified(evidence: Exceedances, level: float, budget: Budget, per_day: float) -> Threshold:
    frames, episodes = evidence.frames, evidence.counts.at(level)
    return Threshold(
        value=level,
        method=CONFORMAL,
        promised_alarms_per_day=evidence.upper_rate_at(level) * per_day,
        effective_sample_size=evidence.effective_sample_size,
        certified=True,
        frames_needed=None,
        reason=f"{episodes} episodes in {frames} frames keep {budget} at {evidence.confidence:.0%} confidence",
        expected_alarms_per_day=(episodes + 0.5) / frames * per_day,
        dispersion=evidence.dispersion.estimate,
        episodes=episodes,
        frames=frames,
    )


def _extrapolated(evidence: Exceedances, allowed: float, budget: Budget, frames_per_second: float) -> Threshold:
    tail, per_day = evidence.tail, frames_per_second * SECONDS_PER_DAY
    level, leaning = _level(evidence, allowed)
    upper = _upper_rate(evidence, allowed, level)
    needed = evidence.frames_needed(allowed)
    return Threshold(
        value=level,
        method=PEAKS_OVER_THRESHOLD,
        promised_alarms_per_day=upper * per_day,
        effective_sample_size=evidence.effective_sample_size,
        certified=False,
        frames_needed=needed,
        reason=_missing(evidence, budget, needed, frames_per_second, leaning=leaning),
        expected_alarms_per_day=min(tail.rate(level), upper) * per_day,
        dispersion=evidence.dispersion.estimate,
        episodes=evidence.counts.at(level),
        frames=evidence.frames,
    )


def _level(evidence: Exceedances, allowed: float) -> tuple[float, bool]:
    """The median of what the budget may need, or as much lower as shows defects, not under a quartile; True if so."""
    highest = evidence.tail.level(allowed, quantile=_TOO_HIGH)
    lowest = min(highest, evidence.tail.level(allowed, quantile=_TOO_HIGH_FOR_DEFECTS))
    with_defect = evidence.statistic + _DEFECT_SIGMAS * evidence.spread
    missed = float(np.mean(with_defect <= lowest))
    if missed > 1 - _LEAST_DETECTED:
        return highest, False
    level = max(lowest, float(np.quantile(with_defect, missed + _COST)))
    return min(level, highest), level < highest


def _upper_rate(evidence: Exceedances, allowed: float, level: float) -> float:
    """Upper limit on episodes per frame at an extrapolated level."""
    if allowed * evidence.frames < 1:
        # The budget lies beyond what the window can count, whatever was counted: the tail has all of the chance.
        return evidence.tail.upper_rate(level, confidence=evidence.confidence)
    # Two limits, the lower of which is promised: each takes half of the chance of being wrong (Bonferroni).
    miss = evidence.miss
    return min(evidence.tail.upper_rate(level, confidence=1 - miss), evidence.upper_rate_at(level, miss=miss))


def _missing(evidence: Exceedances, budget: Budget, needed: int, frames_per_second: float, *, leaning: bool) -> str:
    have, seconds = evidence.frames, needed / frames_per_second
    span = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"
    low = f", and lower than the best guess so as to show defects of {_DEFECT_SIGMAS:g} sigma" if leaning else ""
    return (
        f"{have:,} frames, worth {evidence.effective_sample_size:,.0f} independent ones, cannot certify {budget}: the "
        f"threshold is extrapolated{low}; a window of {needed:,} frames ({span}), {needed - have:,} more, would "
        "certify it"
    )


def _checked(
    scores: ArrayLike, frames_per_second: float, rule: Rule, confidence: float, quiet_frames: int
) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if not (math.isfinite(frames_per_second) and frames_per_second > 0):
        raise CalibrationError(f"frames_per_second: got {frames_per_second!r}, wanted a number above 0")
    if not 0.5 <= confidence < 1:
        raise CalibrationError(f"confidence: got {confidence!r}, wanted a number from 0.5 to below 1")
    if quiet_frames < 1:
        raise CalibrationError(f"quiet_frames: got {quiet_frames!r}, wanted 1 or more")
    if values.ndim != 1 or values.size < max(LEAST_FRAMES, 10 * rule.n):
        raise CalibrationError(
            f"scores: got shape {values.shape}, wanted at least {max(LEAST_FRAMES, 10 * rule.n)} in one row"
        )
    if not np.isfinite(values).all():
        raise CalibrationError(
            f"scores: got {int((~np.isfinite(values)).sum())} that are not finite numbers, wanted none"
        )
    if values.min() == values.max():
        raise CalibrationError(
            f"scores: got {values.size} times {values[0]:g}, wanted scores that differ (camera frozen?)"
        )
    return values
