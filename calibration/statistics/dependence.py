"""The information in a window of dependent frames, as two numbers.

The *integrated autocorrelation time* of the scores converts frames into an effective sample size. The *dispersion* of
the episode counts converts episodes into independent ones: it is the variance of a count over that of a Poisson count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import chdtri, ndtri

from calibration.statistics.episodes import EpisodeCounts, episode_starts

# Length of a block in autocorrelation times (ten decay times of an AR(1) series): it underestimates the dispersion of
# its counts by less than 10 %, measured at lag-1 correlation 0.98.
_TIMES_PER_BLOCK = 5.0

# More blocks than this narrow the limit on the dispersion by little (23 % above the estimate at 200, 15 % at 400) and
# shorten the blocks.
_MOST_BLOCKS = 200

# A window of fewer blocks has not seen its own slow changes often enough for any limit.
LEAST_BLOCKS = 8

# Independence is doubted at three standard errors (one-sided: 0.13 %) of a correlation, and at the same chance for the
# level of ten blocks.
_TESTED_LAGS, _TESTED_BLOCKS, _ALIKE, _WANDERS = 20, 10, 3.0, 1.3e-3

# Levels at which the dispersion is estimated: it is largest at medium levels and falls as the level rises and episodes
# become isolated and independent (measured on Gaussian AR(1) series: 4.2 at 1.5 sigma, 2.4 at 3.5).
_EPISODES_PER_BLOCK = (1.0, 2.0, 4.0)


def autocorrelation_time(values: ArrayLike) -> float:
    """Estimate the integrated autocorrelation time: how many frames equal one independent frame, 1 to N.

    The sum runs over the autocorrelations of the values' normal scores, so that heavy tails do not hide the dependence,
    by the initial positive sequence of pairs (Geyer 1992, Practical Markov chain Monte Carlo, section 3.3; Sokal 1997,
    section 3). Removing the mean lowers every autocovariance by about time / N, which is corrected once. The result is
    at least 1: an estimate below that is taken for noise.

    Args:
        values: at least 4 numbers [N].

    >>> rng = np.random.default_rng(1)
    >>> noise, x = rng.standard_normal(20_000), np.empty(20_000)
    >>> x[0] = noise[0]
    >>> for t in range(1, 20_000):
    ...     x[t] = 0.9 * x[t - 1] + np.sqrt(1 - 0.9**2) * noise[t]
    >>> round(autocorrelation_time(x), 1)  # (1 + 0.9) / (1 - 0.9) = 19
    19.5
    """
    numbers = np.asarray(values, dtype=np.float64)
    count = numbers.size
    if count < 4 or np.ptp(numbers) == 0:
        return float(max(count, 1))
    normal = ndtri((_ranks(numbers) - 0.5) / count)
    correlation = _autocorrelations(normal - normal.mean())
    plain = _initial_positive_sum(correlation)
    lifted = correlation + plain / count * (1 - correlation)
    return float(np.clip(_initial_positive_sum(lifted), 1.0, count))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ranks from 1, the mean rank for equal values. (`scipy.stats` takes a second to import.)"""
    order = np.argsort(values, kind="stable")
    rising = values[order]
    starts = np.flatnonzero(np.concatenate(([True], rising[1:] != rising[:-1])))
    ends = np.append(starts[1:], values.size)
    ranks = np.empty(values.size)
    ranks[order] = np.repeat(0.5 * (starts + 1 + ends), ends - starts)
    return ranks


def _autocorrelations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    size = next_fast_len(2 * values.size, real=True)
    spectrum = rfft(values, size)
    covariances = irfft(spectrum * spectrum.conj(), size)[: values.size]
    return np.asarray(covariances / covariances[0])


def _initial_positive_sum(correlation: NDArray[np.float64]) -> float:
    """Sum the autocorrelations of both sides up to the first pair of neighbours whose sum is not positive."""
    pairs = correlation[: correlation.size // 2 * 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0)
    end = int(negative[0]) if negative.size else pairs.size
    return float(2 * pairs[:end].sum() - 1)


def effective_sample_size(values: ArrayLike) -> float:
    """Estimate how many independent frames the window [N] equals: N over its integrated autocorrelation time."""
    numbers = np.asarray(values)
    return float(numbers.size / autocorrelation_time(numbers))


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Variance of the episode counts over that of a Poisson process, for which it is 1."""

    estimate: float
    """Variance over mean of the block counts, the largest over several levels, ≥ 1."""
    upper: float
    """Its upper limit at the requested confidence; infinite if the window has fewer than `LEAST_BLOCKS` blocks."""
    blocks: int
    """Number of blocks in the window."""
    block_frames: int
    """Length of a block, frames."""

    def likely(self, number: int) -> NDArray[np.float64]:
        """Return evenly spaced quantiles of the true dispersion, if block counts are normal: float64 [number], ≥ 1."""
        if self.upper == self.estimate:
            return np.ones(number)
        shares = (np.arange(number) + 0.5) / number
        freedom = self.blocks - 1
        return np.asarray(np.maximum(self.estimate * freedom / chdtri(freedom, shares), 1.0))


INDEPENDENT = Dispersion(estimate=1.0, upper=1.0, blocks=_MOST_BLOCKS, block_frames=1)
"""Of the counts of independent frames."""


def looks_independent(values: ArrayLike) -> bool:
    """Return whether nothing in the order of these numbers [N], N ≥ 20, contradicts independence.

    Three one-sided tests on the values' normal scores: successive values are alike, values a few places apart are alike
    (portmanteau of Box & Pierce 1970, in its signed form), and the level wanders (variance of block means). Independent
    values fail them in 0.5 % of windows; frames of correlation 0.25 in nine of ten windows of 300. Dependence too weak
    to be found changes the count above a level by less than its own noise.

    >>> noise = np.random.default_rng(1).standard_normal(300)
    >>> looks_independent(noise), looks_independent(noise[1:] + noise[:-1])
    (True, False)
    """
    numbers = np.asarray(values, dtype=np.float64)
    count = numbers.size
    normal = ndtri((_ranks(numbers) - 0.5) / count)
    correlation = _autocorrelations(normal - normal.mean())
    lags = correlation[1 : 1 + min(_TESTED_LAGS, count // 5)] * math.sqrt(count)
    length = count // _TESTED_BLOCKS
    means = normal[: _TESTED_BLOCKS * length].reshape(_TESTED_BLOCKS, length).mean(axis=1)
    spread = float(means.var(ddof=1)) * length * (_TESTED_BLOCKS - 1) / max(float(normal.var()), 1e-300)
    alike = max(float(lags[0]), float(lags.sum()) / math.sqrt(lags.size))
    return alike <= _ALIKE and spread <= float(chdtri(_TESTED_BLOCKS - 1, _WANDERS))


def dispersion(
    statistic: NDArray[np.float64],
    counts: EpisodeCounts,
    *,
    autocorrelation_time: float,
    confidence: float,
    quiet_frames: int = 1,
) -> Dispersion:
    """Estimate the dispersion of the episode counts by batch means, with an upper limit.

    The window is cut into blocks that are long compared with its autocorrelation time. The index of dispersion of the
    block counts (Cox & Lewis 1966, section 4.2) is computed at levels with about one, two and four episodes per block,
    and the largest is used. The limit is that of a variance from so many normal block counts.

    Args:
        statistic: float64 [N], in order of capture.
        counts: its episode counts, with the same `quiet_frames`.
        autocorrelation_time: of the scores or the statistic, whichever is longer; frames.
        confidence: of the upper limit, 0 to 1.
        quiet_frames: frames below a level that end an episode.
    """
    frames = statistic.size
    block_frames = max(math.ceil(_TIMES_PER_BLOCK * autocorrelation_time), math.ceil(frames / _MOST_BLOCKS), 1)
    blocks = frames // block_frames
    if blocks < 2:
        usual = _usual(autocorrelation_time)
        return Dispersion(estimate=usual, upper=math.inf, blocks=blocks, block_frames=block_frames)
    levels = counts.highest_levels(math.ceil(max(_EPISODES_PER_BLOCK) * blocks))
    wanted = [min(math.ceil(each * blocks), levels.size) - 1 for each in _EPISODES_PER_BLOCK]
    found = [_index(statistic, levels[at], blocks, block_frames, quiet_frames) for at in set(wanted) if at >= 0]
    estimate = max([1.0, *found]) if blocks >= LEAST_BLOCKS else max([_usual(autocorrelation_time), *found])
    upper = estimate * (blocks - 1) / float(chdtri(blocks - 1, confidence)) if blocks >= LEAST_BLOCKS else math.inf
    return Dispersion(estimate=estimate, upper=upper, blocks=blocks, block_frames=block_frames)


def _usual(autocorrelation_time: float) -> float:
    """Return the dispersion that goes with a dependence, for a window too short to show it.

    Measured on Gaussian AR(1) series, at the level where it is largest: 1.1, 2.2 and 4.2 at times of 3, 19 and 99.
    """
    return max(1.0, 0.5 * math.sqrt(autocorrelation_time))


def _index(statistic: NDArray[np.float64], level: float, blocks: int, block_frames: int, quiet_frames: int) -> float:
    """Return variance over mean of the block counts of episodes just below this level."""
    starts = episode_starts(statistic, np.nextafter(level, -np.inf), quiet_frames=quiet_frames) // block_frames
    counted = np.bincount(starts[starts < blocks], minlength=blocks)
    mean = float(counted.mean())
    return float(counted.var(ddof=1)) / mean if mean > 0 else 1.0
