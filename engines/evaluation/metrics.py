"""Detection figures at image level: AUROC, average precision, ROC curve, and bootstrap intervals.

Ties count half everywhere: a score that cannot distinguish two images gets no credit for their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# With this many resamples of 100 + 340 images, the interval's ends vary by less than 0.002 from seed to seed.
RESAMPLES = 2000

# Cells of a table that is processed at once: 32 MB.
_CHUNK_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    """The figure on all images."""
    low: float
    """2.5 % quantile over the resamples."""
    high: float
    """97.5 % quantile over the resamples."""

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def auroc(normal: NDArray[np.floating], abnormal: NDArray[np.floating]) -> float:
    """Probability that an abnormal image scores above a normal one (Mann–Whitney), 0 … 1; scores [N] and [M].

    >>> auroc(np.array([0.1, 0.4, 0.35]), np.array([0.8, 0.4]))
    0.9166666666666666
    """
    counts = _Counts.of(normal, abnormal)
    return float(auroc_of_counts(counts.normal[None], counts.abnormal[None])[0])


def average_precision(normal: NDArray[np.floating], abnormal: NDArray[np.floating]) -> float:
    """Area under the precision-recall curve, by steps without interpolation, 0 … 1; abnormal images are positives.

    >>> average_precision(np.array([0.1, 0.4, 0.35]), np.array([0.8, 0.4]))
    0.8333333333333333
    """
    counts = _Counts.of(normal, abnormal)
    return float(_average_precision(counts.normal[None], counts.abnormal[None])[0])


def roc_curve(normal: NDArray[np.floating], abnormal: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Compute false-positive and true-positive rates, both from 0 to 1, one pair for each distinct score.

    >>> [rates.tolist() for rates in roc_curve(np.array([1.0, 2.0]), np.array([2.0, 3.0]))]
    [[0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0]]
    """
    counts = _Counts.of(normal, abnormal)
    false_positives, true_positives = (
        cumulated_from_top(counts.normal[None])[0],
        cumulated_from_top(counts.abnormal[None])[0],
    )
    return (
        np.concatenate([[0.0], false_positives / false_positives[-1]]),
        np.concatenate([[0.0], true_positives / true_positives[-1]]),
    )


def bootstrap(
    statistic: _Statistic,
    normal: NDArray[np.floating],
    abnormal: NDArray[np.floating],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Compute `auroc` or `average_precision` with its 95 % percentile interval.

    Normal and abnormal images are resampled separately.

    >>> scores = np.random.default_rng(0)
    >>> print(bootstrap(auroc, scores.normal(0, 1, 100), scores.normal(1, 1, 100)))
    0.740 (0.669–0.805)
    """
    table = _TABLES[statistic]
    counts = _Counts.of(normal, abnormal)
    rng = np.random.default_rng(seed)
    values = [table(some, others) for some, others in counts.resampled(rng, resamples)]
    low, high = np.quantile(np.concatenate(values), (0.025, 0.975))
    return Interval(statistic(normal, abnormal), float(low), float(high))


@dataclass(frozen=True, slots=True)
class _Counts:
    """How many images of each kind have each distinct score, in rising order; both [U]."""

    normal: Floats
    abnormal: Floats

    @classmethod
    def of(cls, normal: NDArray[np.floating], abnormal: NDArray[np.floating]) -> _Counts:
        if len(normal) == 0 or len(abnormal) == 0:
            raise ValueError(f"{len(normal)} normal and {len(abnormal)} abnormal scores, wanted at least one of each")
        values, indices = np.unique(np.concatenate([normal, abnormal]), return_inverse=True)
        return cls(
            np.bincount(indices[: len(normal)], minlength=len(values)).astype(np.float64),
            np.bincount(indices[len(normal) :], minlength=len(values)).astype(np.float64),
        )

    def resampled(self, rng: np.random.Generator, times: int) -> Iterator[tuple[Floats, Floats]]:
        """Yield tables [B, U] of resampled counts, B at a time, `times` rows in all."""
        rows = max(1, _CHUNK_CELLS // len(self.normal))
        for start in range(0, times, rows):
            size = min(rows, times - start)
            yield tuple(  # type: ignore[misc]
                rng.multinomial(int(counts.sum()), counts / counts.sum(), size=size).astype(np.float64)
                for counts in (self.normal, self.abnormal)
            )


def cumulated_from_top(counts: Floats) -> Floats:
    """Count the images at or above each distinct score, from the highest down: [B, U] → [B, U]."""
    cumulated: Floats = np.cumsum(counts[:, ::-1], axis=1)
    return cumulated


def auroc_of_counts(normal: Floats, abnormal: Floats) -> Floats:
    """Compute AUROC [B] from counts of each distinct score in rising order, [B, U]."""
    below = np.cumsum(normal, axis=1) - normal / 2
    wins: Floats = (below * abnormal).sum(axis=1)
    probability: Floats = wins / (normal.sum(axis=1) * abnormal.sum(axis=1))
    return probability


def _average_precision(normal: Floats, abnormal: Floats) -> Floats:
    hits, alarms = cumulated_from_top(abnormal), cumulated_from_top(abnormal) + cumulated_from_top(normal)
    precision = hits / np.maximum(alarms, 1)
    area: Floats = (precision * abnormal[:, ::-1]).sum(axis=1) / abnormal.sum(axis=1)
    return area


_Statistic = Callable[[NDArray[np.floating], NDArray[np.floating]], float]
_TABLES: dict[_Statistic, Callable[[Floats, Floats], Floats]] = {
    auroc: auroc_of_counts,
    average_precision: _average_precision,
}
"""The same figures for many resamples at once: counts [B, U] → [B]."""
