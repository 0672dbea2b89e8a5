"""What a window says about every threshold at once, before anybody names a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincinv

from calibration.dependence import LEAST_BLOCKS, Dispersion, autocorrelation_time, dispersion
from calibration.episodes import EpisodeCounts
from calibration.rule import Rule
from calibration.tail import Tail, fit_tail

# Episode levels that the tail is fitted to: at most this share of the frames lies above the base level ...
_TAIL_SHARE = 0.12
# ... and no more than frames ** (2/3), so that a longer window looks further out (Scarrott & MacDonald 2012, section
# 2).
_TAIL_POWER = 2 / 3

# A window too short to limit its own dispersion: the promise reckons with this many times the estimate (the usual
# limit from eight blocks), and so does any longer one with a wider limit.
_MOST_DOUBT = 4.0

# A limit from the window takes this part of the chance of being wrong, since counts of a real window are neither quite
# Poisson nor their blocks quite normal. With all of it, levels for 95 % kept the budget in 94.5 to 99.6 % of 400 lines
# (windows of 1,000 to 30,000, budgets 1 per 100 and 1 per 1000, correlations 0 to 0.98); with this, in 96 % or more.
_SHARE_OF_MISS = 0.6

# So many dispersions stand for all that may be; more where so little chance is left that those would miss the rest.
_LEAST_DISPERSIONS, _DISPERSIONS_PER_MISS = 25, 0.35

# A certificate rests on at least so many episodes ...
_LEAST_EPISODES = 2
# ... unless the independent frames alone are worth so many alarms of the budget. With fewer of both it would rest on
# the highest frame and a guess at the dependence, and that frame lies so high that defects hide under it.
_PLENTY_OF_SPANS = 4.0

# Quiet times that a window must hold for its episodes to be counted by that quiet time.
_LEAST_QUIET_TIMES = 50


@dataclass(frozen=True)
class Exceedances:
    """What a window says about every threshold, before a budget is asked for."""

    frames: int
    """Length of the window, frames."""
    statistic: NDArray[np.float64]
    """The rule's statistic over the window [N - n + 1]."""
    counts: EpisodeCounts
    """Its episodes at every level."""
    spread: float
    """Standard deviation of the scores."""
    effective_sample_size: float
    """Independent frames that the window is worth."""
    dispersion: Dispersion
    """How far its episodes are from independent."""
    confidence: float
    """Of every limit that is given."""

    @classmethod
    def of(
        cls, scores: NDArray[np.float64], *, rule: Rule, confidence: float = 0.95, quiet_frames: int = 1
    ) -> Exceedances:
        """Take the evidence of a window of finite scores [N], N ≥ n."""
        statistic = rule.statistic(scores)
        # A window of few quiet times holds few episodes whatever its scores; a shorter one counts more, never fewer.
        quiet_frames = min(quiet_frames, max(1, statistic.size // _LEAST_QUIET_TIMES))
        counts = EpisodeCounts(statistic, quiet_frames=quiet_frames)
        miss = (1 - confidence) / 2
        time = autocorrelation_time(scores)
        slowest = time if rule.n == 1 else max(time, autocorrelation_time(statistic))
        spread = dispersion(
            statistic, counts, autocorrelation_time=slowest, confidence=1 - miss, quiet_frames=quiet_frames
        )
        return cls(
            frames=scores.size,
            statistic=statistic,
            counts=counts,
            spread=float(scores.std()),
            effective_sample_size=scores.size / time,
            dispersion=spread,
            confidence=confidence,
        )

    @property
    def miss(self) -> float:
        """Chance that each of two limits may be wrong where the lower one counts (Bonferroni)."""
        return (1 - self.confidence) / 2

    def sure(self, episodes: NDArray[np.int64], rate: float, *, miss: float | None = None) -> NDArray[np.bool_]:
        """Tell which counts of episodes in the window [n] make sure of fewer than `rate` a frame: bool [n].

        Wrong with a chance of at most `miss`, 1 - confidence where not given.
        """
        wanted = self._certainty(miss)
        return np.asarray(self._chance(episodes, rate, wanted) >= wanted)

    def upper_rate_at(self, level: float, *, miss: float | None = None) -> float:
        """Upper limit on episodes per frame at one level, wrong with a chance of at most `miss`, 1 - confidence."""
        if self.dispersion.blocks < LEAST_BLOCKS:
            return math.inf
        wanted, episodes = self._certainty(miss), np.array([self.counts.at(level)])

        def lacking(rate: float) -> float:
            return wanted - float(self._chance(episodes, rate, wanted)[0])

        highest = 2 / self.counts.frames
        while lacking(highest) > 0:
            highest *= 2
        return float(brentq(lacking, highest / 2, highest, rtol=1e-9))

    def _certainty(self, miss: float | None) -> float:
        return 1 - _SHARE_OF_MISS * (1 - self.confidence if miss is None else miss)

    def _chance(self, episodes: NDArray[np.int64], rate: float, wanted: float) -> NDArray[np.float64]:
        """Chance that a level with so many episodes in the window [n] has fewer than `rate` a frame: float64 [n].

        That of a Poisson count stretched by the dispersion, averaged over what the dispersion may be: to a count what
        Student's t is to a mean. 0 where the window has too few blocks to show its dispersion.
        """
        if self.dispersion.blocks < LEAST_BLOCKS:
            return np.zeros(np.shape(episodes))
        many = max(_LEAST_DISPERSIONS, math.ceil(_DISPERSIONS_PER_MISS / (1 - wanted)))
        stretched = self.dispersion.likely(many)
        worth = rate * self.counts.frames / stretched
        return np.asarray(gammainc(episodes[..., None] / stretched + 1, worth).mean(axis=-1))

    def lowest_certified(self, allowed: float) -> float | None:
        """The lowest level, going down from the top, whose upper rate keeps the budget; None where none does."""
        fewest = 0 if self.effective_sample_size * allowed >= _PLENTY_OF_SPANS else _LEAST_EPISODES
        if not self.sure(np.array([fewest]), allowed)[0]:
            return None
        most = min(int(allowed * self.counts.frames) + 1, self.counts.frames)
        levels = self.counts.highest_levels(most)
        kept = self.sure(np.arange(levels.size), allowed)
        return float(levels[: int(np.argmin(kept)) or kept.size][-1])

    @cached_property
    def tail(self) -> Tail:
        """The tail of the rate of episodes beyond the window's own levels."""
        base = float(np.quantile(self.statistic, 1 - _TAIL_SHARE))
        many = int(min(self.counts.frames**_TAIL_POWER, self.counts.at(base)))
        levels = self.counts.highest_levels(max(many, 2) + 1)
        if levels.size < 3:
            # A statistic that hardly moves has no episodes to speak of: its highest values stand in for them.
            levels = np.sort(self.statistic)[: -max(many, 2) - 2 : -1]
        spread = self.dispersion
        return fit_tail(
            levels,
            frames=self.counts.frames,
            dispersion=spread.estimate,
            most_dispersion=min(spread.upper, _MOST_DOUBT * spread.estimate),
        )

    def frames_needed(self, allowed: float) -> int:
        """Frames of window that would certify the budget, rounded up to two digits."""
        spread = self.dispersion
        blocks = max(spread.blocks, 50)
        # By as much as the upper limit lies above the estimate, and what the estimate itself may be short of.
        inflated = spread.estimate * (1 + 7 / math.sqrt(blocks))
        by_episodes = float(gammaincinv(_LEAST_EPISODES / inflated + 1, 1 - self.miss)) * inflated / allowed
        time = self.frames / self.effective_sample_size
        by_sample = max(-math.log(self.miss) * inflated, _PLENTY_OF_SPANS * time) / allowed
        least = max(min(by_episodes, by_sample), 2 * LEAST_BLOCKS * spread.block_frames)
        return _round_up(max(least, self.counts.frames + 1))


def _round_up(number: float) -> int:
    """Round up to two digits: nobody plans a window by its third."""
    unit = int(10 ** max(0, math.floor(math.log10(number)) - 1))
    return math.ceil(number / unit) * unit
