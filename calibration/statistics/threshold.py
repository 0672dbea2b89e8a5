"""From a window of good scores and a budget to a threshold, and to the false-alarm rate that it can promise.

Inside the window, *conformal* and distribution-free: take the lowest level at which even the upper limit on the rate of
episodes keeps the budget. The count of episodes at a level is compared with a Poisson count stretched by the dispersion
estimated from the window, so that clustered episodes count as the few independent ones that they are. With no
episode left, T frames of dispersion D bound the rate by D · (-ln α) / T: the rule of three. (Vovk, Gammerman & Shafer
2005, section 2.2, for the idea on independent scores; Wilks 1941 for the limits.) The scan starts at the top and stops
at the first level that fails, so the choice of the level is part of the guarantee: the realised rate exceeds the
budget only if the count at the one true level fell below its own limit.

Independent parts, one frame each, need no dispersion: there the limits are those of the binomial distribution, exact
for any number of parts (Clopper & Pearson 1934; Wilks 1941), and 299 of them certify one false alarm per 100.

Beyond the window: *peaks over threshold* (`tail.py`), never certified. No level would be right there: one that 300
frames guarantee an alarm a day for does not exist. So level and promise are chosen separately. At the level, the best
guess of the rate meets the budget; the promise is the upper limit on the rate *at that level*, which is above the
budget. It is distribution-free too: the tail cannot know of a rare kind of good part that the window has not shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.budgets import SECONDS_PER_DAY, Budget, percent, plural, rounded
from calibration.errors import CalibrationError
from calibration.statistics.exceedances import Exceedances
from calibration.statistics.rule import Rule

CONFORMAL = "conformal"
PEAKS_OVER_THRESHOLD = "peaks over threshold"

# With fewer frames, neither dependence nor tail can be distinguished from noise.
LEAST_FRAMES = 50

# Dependence is given as the reason if it leaves less than this share of the window. The estimate is below it in 11 % of
# independent windows of 50 frames, 2 % of 300 and 0.1 % of 1,000 (1,000 normal windows each).
_DEPENDENT_SHARE = 0.5

# Exact limits of a level that is not certified use this share of the allowed chance of being wrong: the level may be
# one of the scores that it is judged by. With all of it, limits were kept in 94.3 to 97.6 % of 300 to 1,000 windows
# (digits and four distributions; 100 to 298 scores for 1 per 100, 1,000 and 2,000 for 1 per 1000). The level of a
# censored window is often the highest image below the old threshold: with all of it, in 94 to 95 % of 400 lines of 300
# gamma scores (1 per 100, drift of 0 to 15 %), with this share in 97 % or more.
_SHARE_OF_MISS = 0.6


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold on the rule's statistic, and the false-alarm rate that it can promise."""

    value: float
    """The rule alarms if its statistic is above this, in units of the scores."""
    method: str
    """"conformal" (inside the window, distribution-free, certified or not) or "peaks over threshold" (extrapolated)."""
    promised_alarms_per_day: float
    """Upper limit on alarm episodes per day of good parts, at the requested confidence."""
    effective_sample_size: float
    """Number of independent frames with as much information as the window."""
    certified: bool
    """True if the promise keeps the budget and rests on the window alone, without extrapolation, and if no frame was
    left out without which it could not be kept."""
    frames_needed: int | None
    """Estimated length of a window that would certify this budget on this line, frames; None if it is certified."""
    reason: str
    """In words: why it is certified, or why not and how many frames would be enough."""
    expected_alarms_per_day: float
    """Best estimate of the alarm episodes per day of good parts."""
    dispersion: float
    """Estimated variance of the episode counts over that of independent ones; 1 is independent."""
    episodes: int
    """Episodes above the threshold within the window itself."""
    frames: int
    """Length of the window, frames."""

    def raised_to(self, level: float, *, episodes: int, why: str) -> Threshold:
        """Return the threshold with a higher level, above which the window has `episodes`; itself if it is not higher.

        The rates stay those of the lower level. They hold at the higher one too, and the frames that remain in the
        window give no ground for lower ones.
        """
        if level <= self.value:
            return self
        return replace(self, value=level, episodes=episodes, reason=f"{self.reason}; the threshold was raised {why}")


def calibrate(
    scores: ArrayLike,
    *,
    frames_per_second: float,
    budget: Budget = Budget(alarms=1, per_seconds=SECONDS_PER_DAY),  # noqa: B008 - frozen
    rule: Rule = Rule(k=1, n=1),  # noqa: B008 - frozen
    confidence: float = 0.95,
    quiet_frames: int = 1,
    parts: bool = False,
) -> Threshold:
    """Find the threshold for a budget of false alarms from the scores of good frames, in order of capture.

    Args:
        scores: finite scores [N] of successive good frames, N ≥ 50 and N ≥ 10 n.
        frames_per_second: rate of the line, > 0; converts a budget per time into one per frame.
        budget: false alarms allowed.
        rule: k of n.
        confidence: of the promise, from 0.5 to below 1.
        quiet_frames: frames below the threshold that end an alarm episode (see `calibration.statistics.episodes`).
        parts: each frame is another part. If they look independent, limits are exact and `quiet_frames` is 0.

    Raises:
        CalibrationError: too few scores, a score that is not finite, equal scores, or a setting out of range.

    >>> scores = np.random.default_rng(0).gamma(4.0, size=5000)
    >>> budget = Budget(alarms=1, per_frames=100)
    >>> threshold = calibrate(scores, frames_per_second=20.0, budget=budget)
    >>> threshold.certified, threshold.method, round(threshold.value, 3)
    (True, 'conformal', 10.52)
    """
    values = _checked(scores, frames_per_second, rule, confidence, quiet_frames)
    exceedances = Exceedances.of(values, rule=rule, confidence=confidence, quiet_frames=quiet_frames, parts=parts)
    return threshold_for(exceedances, budget=budget, frames_per_second=frames_per_second)


def threshold_for(exceedances: Exceedances, *, budget: Budget, frames_per_second: float) -> Threshold:
    """Find the threshold for a budget from the exceedances of a window, which serve any number of budgets."""
    allowed = budget.per_frame(frames_per_second=frames_per_second)
    certified = exceedances.lowest_certified(allowed)
    counted = exceedances.mean_level(allowed) if certified is None else certified
    level = min(exceedances.tail.level(allowed), counted) if certified is None else certified
    rate = alarm_rate(exceedances, level, certified=certified is not None)
    needed = None if certified is not None else exceedances.frames_needed(allowed)
    episodes, per_day = exceedances.counts.at(level), frames_per_second * SECONDS_PER_DAY
    if needed is None:
        reason = _why_certified(exceedances, budget, episodes)
    else:
        extrapolated = "; the threshold is extrapolated" if level < counted else ""
        reason = _why_not(exceedances, budget, needed, frames_per_second, extrapolated)
    return Threshold(
        value=level,
        method=PEAKS_OVER_THRESHOLD if level < counted else CONFORMAL,
        promised_alarms_per_day=rate.worst * per_day,
        effective_sample_size=exceedances.effective_sample_size,
        certified=certified is not None,
        frames_needed=needed,
        reason=reason,
        expected_alarms_per_day=rate.likely * per_day,
        dispersion=exceedances.dispersion.estimate,
        episodes=episodes,
        frames=exceedances.frames,
    )


def counting_left_out(
    threshold: Threshold,
    whole: Exceedances,
    *,
    left_out: int,
    lowest_left_out: float,
    budget: Budget,
    frames_per_second: float,
) -> Threshold:
    """Count frames that were left out of a window, and that nobody has confirmed as bad, as good ones.

    The threshold stays certified only if the whole window certifies a level below all of them; it is raised to that
    level then. Bad ones among them raise alarms in any case, and the rates are never below those with them.
    `episodes` stays the number before; the caller counts it again.

    Args:
        threshold: of the frames that were kept.
        whole: of all frames.
        left_out: number of frames left out, ≥ 1.
        lowest_left_out: the lowest score among them.
    """
    allowed, per_day = budget.per_frame(frames_per_second=frames_per_second), frames_per_second * SECONDS_PER_DAY
    lowest = whole.lowest_certified(allowed) if threshold.certified else None
    certified = lowest is not None and lowest < lowest_left_out
    level = max(threshold.value, lowest) if lowest is not None and certified else threshold.value
    counted = _counted_as_good(left_out)
    reason = f"{threshold.reason}; {counted}"
    if threshold.certified and not certified:
        window = f"with {plural(whole.counts.at(level), 'alarm')} in {whole.frames:,} {budget.noun}"
        reason = f"{counted}: {window}, the window cannot promise at most {budget.words}"
    rate = counted_rate(whole, level)
    return replace(
        threshold,
        value=level,
        certified=certified,
        frames_needed=None if certified else whole.frames_needed(allowed),
        promised_alarms_per_day=max(threshold.promised_alarms_per_day, rate.worst * per_day),
        expected_alarms_per_day=max(threshold.expected_alarms_per_day, rate.likely * per_day),
        reason=reason,
    )


def _counted_as_good(left_out: int) -> str:
    count, them = ("counts", "it") if left_out == 1 else ("count", "them")
    return f"{plural(left_out, 'image')} left out {count} as good, because nobody has confirmed {them} as bad"


def upper_rate(exceedances: Exceedances, level: float, *, miss: float | None = None, spare: int | None = None) -> float:
    """Return the upper limit on episodes per frame at a level, at most 1.

    It is that of the counts, whatever the distribution: below 3 episodes in the window it cannot fall, however high the
    level is. Only where the window has too few blocks to estimate its dispersion, the tail gives it.

    Args:
        exceedances: of the window.
        level: any.
        miss: chance that the limit is wrong; None: 1 - confidence.
        spare: as in `Exceedances.upper_rate_at`.
    """
    limit = exceedances.upper_rate_at(level, miss=miss, spare=spare)
    if math.isinf(limit):
        limit = exceedances.tail.upper_rate(level, confidence=exceedances.confidence if miss is None else 1 - miss)
    return min(1.0, limit)


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """Alarm episodes per frame of good parts at one level."""

    likely: float
    """Best estimate."""
    worst: float
    """Upper limit at the confidence of the window."""


def alarm_rate(exceedances: Exceedances, level: float, *, certified: bool) -> AlarmRate:
    """Return the rate at a level: the best estimate from the counts if certified, else from the tail where it is lower.

    The promise and the chart of the report both show this rate.
    """
    if certified:
        worst = upper_rate(exceedances, level)
        return AlarmRate(min(exceedances.mean_rate(level), worst), worst)
    share = _SHARE_OF_MISS if exceedances.independent else 1.0
    worst = upper_rate(exceedances, level, miss=share * (1 - exceedances.confidence))
    return AlarmRate(min(exceedances.tail.rate(level), exceedances.mean_rate(level), worst), worst)


def counted_rate(whole: Exceedances, level: float, *, spare: int | None = None) -> AlarmRate:
    """Return the rate at a level if images that a window leaves out count as good: `whole` has them too.

    `spare`: they are those above the threshold that was in force; with more than so many others of them, the window
    would have been rejected.
    """
    miss = None if spare is None else _SHARE_OF_MISS * (1 - whole.confidence)
    worst = upper_rate(whole, level, miss=miss, spare=spare)
    return AlarmRate(min(whole.mean_rate(level), worst), worst)


def _why_certified(exceedances: Exceedances, budget: Budget, episodes: int) -> str:
    return (
        f"{plural(episodes, 'alarm')} in {exceedances.frames:,} {budget.noun}: few enough to promise at most "
        f"{budget.words}, with {percent(exceedances.confidence)} confidence"
    )


def shortage(threshold: Threshold, budget: Budget) -> str:
    """Return why the frames of a threshold that is not certified are too few, in words."""
    return _shortage(threshold.frames, threshold.effective_sample_size, budget)


def _shortage(frames: int, independent: float, budget: Budget) -> str:
    count, noun = round(independent), budget.noun
    short = f"{frames:,} {noun} are too few"
    if independent < _DEPENDENT_SHARE * frames:
        counts = "counts" if count == 1 else "count"
        short = f"only {count:,} of {frames:,} {noun} {counts}, because successive {noun} are alike: too few"
    return f"{short} to promise at most {budget.words}"


def _why_not(exceedances: Exceedances, budget: Budget, needed: int, frames_per_second: float, extrapolated: str) -> str:
    short = _shortage(exceedances.frames, exceedances.effective_sample_size, budget)
    time = "" if budget.per_seconds is None else f" ({_duration(needed / frames_per_second)} of running)"
    return f"{short}{extrapolated}; about {needed:,} good {budget.noun}{time} would be enough"


def _duration(seconds: float) -> str:
    """Write a duration in the largest unit of which it has at least two."""
    units = (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0), ("seconds", 1.0))
    name, unit = next((each for each in units if seconds >= 2 * each[1]), units[-1])
    return f"{rounded(seconds / unit)} {name}"


def _checked(
    scores: ArrayLike, frames_per_second: float, rule: Rule, confidence: float, quiet_frames: int
) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if not (math.isfinite(frames_per_second) and frames_per_second > 0):
        raise CalibrationError(f"frames_per_second: got {frames_per_second!r}, wanted a number above 0")
    if not 0.5 <= confidence < 1:
        raise CalibrationError(f"confidence: got {confidence!r}, wanted a number from 0.5 to below 1")
    if quiet_frames < 0:
        raise CalibrationError(f"quiet_frames: got {quiet_frames!r}, wanted 0 or more")
    least = max(LEAST_FRAMES, 10 * rule.n)
    if values.ndim != 1:
        raise CalibrationError(f"scores: got shape {values.shape}, wanted one row of at least {least}")
    if values.size < least:
        raise CalibrationError(f"calibration: got {values.size} good images, wanted at least {least}")
    if not np.isfinite(values).all():
        raise CalibrationError(f"scores: {int((~np.isfinite(values)).sum())} are not finite numbers, wanted none")
    if values.min() == values.max():
        raise CalibrationError(
            f"scores: all {values.size} are {values[0]:g}, wanted scores that differ (camera frozen?)"
        )
    return values
