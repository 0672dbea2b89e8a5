"""How often the scores of a window exceed every level: the basis of a threshold for any budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaincc, betaincinv, gammaincc, gammaincinv

from calibration.statistics.dependence import (
    INDEPENDENT,
    LEAST_BLOCKS,
    Dispersion,
    autocorrelation_time,
    dispersion,
    looks_independent,
)
from calibration.statistics.episodes import EpisodeCounts
from calibration.statistics.rule import Rule
from calibration.statistics.tail import Tail, fit_tail

# The tail is fitted to the highest episode levels: at most this share of the frames is above the base level ...
_TAIL_SHARE = 0.12
# ... and at most frames ** (2/3), so that a longer window uses a higher base (Scarrott & MacDonald 2012, section 2).
_TAIL_POWER = 2 / 3

# The promise assumes at most this many times the estimated dispersion (the usual limit from eight blocks): for a window
# too short to limit its own dispersion, and for any other whose limit is wider.
_MOST_DOUBT = 4.0

# Limits from the window use this share of the allowed chance of being wrong, because counts of real windows are not
# quite Poisson and block counts not quite normal. With all of it, levels for 95 % kept the budget in 94.5 to 99.6 % of
# 400 lines (windows of 1,000 to 30,000, budgets 1 per 100 and 1 per 1000, correlations 0 to 0.98); with this share, in
# 96 % or more.
_SHARE_OF_MISS = 0.6

# Number of quantiles that represent the uncertainty of the dispersion; more if the allowed chance of being wrong is so
# small that this many would not reach it.
_LEAST_DISPERSIONS, _DISPERSIONS_PER_MISS = 25, 0.35

# A certificate rests on at least so many episodes ...
_LEAST_EPISODES = 2
# ... unless the independent frames alone cover so many spans of the budget. With fewer of both it would rest on the
# highest frame and a guess at the dependence, and that frame is so high that defects hide below it.
_PLENTY_OF_SPANS = 4.0

# Lines of which a smaller share of the windows passes are left aside, where windows are rejected for their counts.
_RARELY_PASSED = 1e-3

# Episodes are counted with a quiet time of at most this share of the time between them at the base level. A longer one
# joins independent episodes there, but not at the rare levels of a budget, so that the tail looks heavier than it is:
# with 2 s at 20 frames a second, realised rates were 0.3 to 0.5 of the best guess (1,000 and 3,000 frames, parts of
# four frames and correlation 0.5).
_QUIET_SHARE = 0.25


@dataclass(frozen=True)
class Exceedances:
    """Episodes of a window at every level, with their dependence, before a budget is chosen."""

    frames: int
    """Length of the window, frames."""
    statistic: NDArray[np.float64]
    """The rule's statistic over the window [N - n + 1]."""
    counts: EpisodeCounts
    """Its episodes at every level."""
    spread: float
    """Standard deviation of the scores."""
    effective_sample_size: float
    """Number of independent frames with as much information as the window."""
    dispersion: Dispersion
    """Of its episode counts; see `calibration.statistics.dependence`."""
    confidence: float
    """Of every limit, 0.5 to 1."""
    independent: bool = False
    """Each frame is another part, and nothing in the window contradicts that they are independent: limits are the
    exact ones of the binomial distribution."""

    @classmethod
    def of(
        cls,
        scores: NDArray[np.float64],
        *,
        rule: Rule,
        confidence: float = 0.95,
        quiet_frames: int = 1,
        parts: bool = False,
    ) -> Exceedances:
        """Measure a window of finite scores [N], N ≥ n, in order of capture.

        `parts`: each frame is another part, so each one above a level is a false alarm of its own.
        """
        statistic = rule.statistic(scores)
        if parts and rule.n == 1 and looks_independent(scores):
            return cls._of_independent(scores, statistic, confidence)
        quiet_frames = _shorter_quiet_time(statistic, quiet_frames)
        counts = EpisodeCounts(statistic, quiet_frames=quiet_frames)
        miss = (1 - confidence) / 2
        time = autocorrelation_time(scores)
        slowest = time if rule.n == 1 else max(time, autocorrelation_time(statistic))
        estimated = dispersion(
            statistic, counts, autocorrelation_time=slowest, confidence=1 - miss, quiet_frames=quiet_frames
        )
        return cls(
            frames=scores.size,
            statistic=statistic,
            counts=counts,
            spread=float(scores.std()),
            effective_sample_size=scores.size / time,
            dispersion=estimated,
            confidence=confidence,
        )

    @classmethod
    def _of_independent(
        cls, scores: NDArray[np.float64], statistic: NDArray[np.float64], confidence: float
    ) -> Exceedances:
        return cls(
            frames=scores.size,
            statistic=statistic,
            counts=EpisodeCounts(statistic, quiet_frames=0),
            spread=float(scores.std()),
            effective_sample_size=float(scores.size),
            dispersion=INDEPENDENT,
            confidence=confidence,
            independent=True,
        )

    @property
    def miss(self) -> float:
        """Allowed chance of being wrong for each of two limits of which the lower one is used (Bonferroni)."""
        return (1 - self.confidence) / 2

    def sure(self, episodes: NDArray[np.int64], rate: float, *, miss: float | None = None) -> NDArray[np.bool_]:
        """Return which counts of episodes in the window [n] prove a rate below `rate` per frame: bool [n].

        Each is wrong with a chance of at most `miss`, by default 1 - confidence.
        """
        allowed = self._allowed(miss)
        return np.asarray(self._chance_of_no_more(episodes, rate, allowed) <= allowed)

    def upper_rate_at(self, level: float, *, miss: float | None = None, spare: int | None = None) -> float:
        """Return the upper limit on episodes per frame at one level, at most 1; infinite if there are too few blocks.

        It is wrong with a chance of at most `miss`, by default 1 - confidence.

        Args:
            level: any.
            miss: chance that it is wrong.
            spare: how many more frames above the level there could have been before the window would have been
                rejected. Windows that pass have few of them by selection, so the limit is the one given that the window
                passed; lines of which fewer than one window in a thousand passes are left aside. None: no window is
                rejected for its counts.
        """
        if not self.independent and self.dispersion.blocks < LEAST_BLOCKS:
            return math.inf
        above, allowed = self.counts.at(level), self._allowed(miss)
        if self.independent and spare is None:
            # Clopper & Pearson (1934).
            return float(betaincinv(above + 1, self.frames - above, 1 - allowed)) if above < self.frames else 1.0
        counts = np.array([above, above if spare is None else above + self._episodes_of(spare, level)])

        def possible(rate: float) -> float:
            """Above 0 at a rate that the window does not rule out."""
            seen, passed = self._chance_of_no_more(counts, rate, allowed)
            return float(seen - allowed if spare is None else min(seen - allowed * passed, passed - _RARELY_PASSED))

        highest = 2 / self.counts.frames
        while highest < 1 and possible(highest) > 0:
            highest *= 2
        return float(brentq(possible, highest / 2, highest, rtol=1e-9)) if highest < 1 else 1.0

    def _episodes_of(self, frames: int, level: float) -> int:
        """Return how many episodes so many frames above a level make, by those of the window."""
        each = np.count_nonzero(self.statistic > level) / max(1, self.counts.at(level))
        return int(frames / max(1.0, each))

    def _allowed(self, miss: float | None) -> float:
        share = 1.0 if self.independent else _SHARE_OF_MISS
        return share * (1 - self.confidence if miss is None else miss)

    def _chance_of_no_more(self, episodes: NDArray[np.int64], rate: float, allowed: float) -> NDArray[np.float64]:
        """Return the probability of at most so many episodes [n] in the window at a rate per frame: float64 [n].

        It is that of a Poisson count stretched by the dispersion, averaged over the uncertainty of the dispersion: to
        a count what Student's t is to a mean; precise enough for comparison with `allowed`. 1 if the window has too few
        blocks to estimate its dispersion. That of independent parts is exact: the chance that no more of them are above
        an order statistic (Wilks 1941).
        """
        if self.independent:
            return np.asarray(betaincc(episodes + 1, np.maximum(self.frames - episodes, 1), min(rate, 1.0)))
        if self.dispersion.blocks < LEAST_BLOCKS:
            return np.ones(np.shape(episodes))
        number = max(_LEAST_DISPERSIONS, math.ceil(_DISPERSIONS_PER_MISS / allowed))
        stretched = self.dispersion.likely(number)
        expected = rate * self.counts.frames / stretched
        return np.asarray(gammaincc(episodes[..., None] / stretched + 1, expected).mean(axis=-1))

    def lowest_certified(self, allowed: float) -> float | None:
        """Return the lowest level, from the top down, whose upper rate is within `allowed` per frame; None if none."""
        plenty = self.independent or self.effective_sample_size * allowed >= _PLENTY_OF_SPANS
        if not self.sure(np.array([0 if plenty else _LEAST_EPISODES]), allowed)[0]:
            return None
        most = min(int(allowed * self.counts.frames) + 1, self.counts.frames)
        levels = self.counts.highest_levels(most)
        kept = self.sure(np.arange(levels.size), allowed)
        return float(levels[: int(np.argmin(kept)) or kept.size][-1])

    def mean_rate(self, level: float) -> float:
        """Return the mean rate of episodes per frame at levels that as many episodes of the window exceed as this one.

        It is exact for independent frames, whatever their distribution: the next of them is above the k-th highest of N
        with a chance of k / (N + 1). Dependent episodes count as the independent ones that they equal.
        """
        return (self.counts.at(level) + self.dispersion.estimate) / (self.frames + 1)

    def mean_level(self, allowed: float) -> float:
        """Return the lowest level, from the top down, whose mean rate is within `allowed`; infinite if none is."""
        above = math.floor(allowed * (self.frames + 1) - self.dispersion.estimate + 1e-9)
        levels = self.counts.highest_levels(above + 1) if above >= 0 else np.empty(0)
        return float(levels[-1]) if levels.size else math.inf

    @cached_property
    def tail(self) -> Tail:
        """The tail of the episode rate, beyond the levels that occur in the window."""
        base = _base(self.statistic)
        number = max(2, int(min(self.counts.frames**_TAIL_POWER, self.counts.at(base))))
        levels = self.counts.highest_levels(number + 1)
        if levels.size < 3:
            # A statistic that hardly changes has next to no episodes: use its highest values instead.
            levels = np.sort(self.statistic)[: -number - 2 : -1]
        estimate = self.dispersion.estimate
        return fit_tail(
            levels,
            frames=self.counts.frames,
            dispersion=estimate,
            most_dispersion=min(self.dispersion.upper, _MOST_DOUBT * estimate),
        )

    def frames_needed(self, allowed: float) -> int:
        """Estimate the length of a window that would certify the budget, frames, rounded up to two digits.

        For independent parts it is exact, and not rounded: that of a window without one above the level.
        """
        if self.independent:
            return max(math.ceil(math.log(1 - self.confidence) / math.log1p(-min(allowed, 0.5))), self.frames + 1)
        blocks = max(self.dispersion.blocks, 50)
        # For the distance of the upper limit from the estimate, and for the error of the estimate itself.
        inflated = self.dispersion.estimate * (1 + 7 / math.sqrt(blocks))
        by_episodes = float(gammaincinv(_LEAST_EPISODES / inflated + 1, 1 - self.miss)) * inflated / allowed
        time = self.frames / self.effective_sample_size
        by_sample = max(-math.log(self.miss) * inflated, _PLENTY_OF_SPANS * time) / allowed
        least = max(min(by_episodes, by_sample), 2 * LEAST_BLOCKS * self.dispersion.block_frames)
        return _round_up(max(least, self.counts.frames + 1))


def _base(statistic: NDArray[np.float64]) -> float:
    """Return the level above which the tail is fitted at most."""
    return float(np.quantile(statistic, 1 - _TAIL_SHARE))


def _shorter_quiet_time(statistic: NDArray[np.float64], quiet_frames: int) -> int:
    """Return the quiet time to count episodes with, frames; a shorter one never counts fewer."""
    if quiet_frames <= 1:
        return quiet_frames
    episodes = EpisodeCounts(statistic).at(_base(statistic))
    return min(quiet_frames, max(1, round(_QUIET_SHARE * statistic.size / max(1, episodes))))


def _round_up(number: float) -> int:
    """Round up to two digits, since the estimate is no more precise."""
    unit = int(10 ** max(0, math.floor(math.log10(number)) - 1))
    return math.ceil(number / unit) * unit
