"""Detection figures: AUROC, average precision, pixel AUROC, per-region overlap, and intervals by the bootstrap.

Ties count half everywhere: a score that cannot tell two frames apart gets no credit for their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The interval's ends vary by less than 0.002 from seed to seed with this many resamples of 100 + 340 frames.
RESAMPLES = 2000

# Cells of a table that is worked on at once: 32 MB.
_CHUNK_CELLS = 4_000_000

# Levels that heat is sorted into. At 4,096 levels of equal share a pixel AUROC is off by less than 0.0002.
_LEVELS = 4096

PRO_LIMIT = 0.3
"""False-positive rate up to which per-region overlap is averaged (Bergmann et al., CVPR 2019 and IJCV 2021)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    """The figure on all frames."""
    low: float
    """2.5 % quantile over the resamples."""
    high: float
    """97.5 % quantile over the resamples."""

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def auroc(normal: NDArray[np.floating], abnormal: NDArray[np.floating]) -> float:
    """Chance that an abnormal frame scores above a normal one (Mann–Whitney), 0 … 1.

    >>> auroc(np.array([0.1, 0.4, 0.35]), np.array([0.8, 0.4]))
    0.9166666666666666
    """
    counts = _Counts.of(normal, abnormal)
    return float(_auroc(counts.normal[None], counts.abnormal[None])[0])


def average_precision(normal: NDArray[np.floating], abnormal: NDArray[np.floating]) -> float:
    """Area under precision over recall, by steps and without interpolation, 0 … 1; abnormal frames are the positives.

    >>> average_precision(np.array([0.1, 0.4, 0.35]), np.array([0.8, 0.4]))
    0.8333333333333333
    """
    counts = _Counts.of(normal, abnormal)
    return float(_average_precision(counts.normal[None], counts.abnormal[None])[0])


def roc_curve(normal: NDArray[np.floating], abnormal: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """False-positive and true-positive rates, both from 0 to 1, one pair for each distinct score.

    >>> [rates.tolist() for rates in roc_curve(np.array([1.0, 2.0]), np.array([2.0, 3.0]))]
    [[0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0]]
    """
    counts = _Counts.of(normal, abnormal)
    false_positives, true_positives = _cumulated(counts.normal[None])[0], _cumulated(counts.abnormal[None])[0]
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
    """Give `auroc` or `average_precision` its 95 % percentile interval; both kinds of frames are resampled on their
    own.

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
class PixelFigures:
    """How well heat tells where the defects are."""

    auroc: float
    """Over all pixels of all frames."""
    auroc_within: float
    """Over the pixels of the abnormal frames only: untouched by any difference between the two folders."""
    pro: float
    """Mean overlap of a defect's region with the heat above a level, averaged over false-positive rates to 0.3."""
    peak_hits: float
    """Share of abnormal frames whose hottest pixel lies on a defect."""
    regions: int
    """Connected regions in the masks."""


class PixelTally:
    """Gathers heatmaps and masks frame by frame and forgets them: memory does not grow with the number of frames."""

    def __init__(self, heatmaps: NDArray[np.float32]) -> None:
        """Take the levels of heat from all heatmaps [N, h, w] that will follow."""
        self._edges = np.unique(np.quantile(heatmaps, np.linspace(0, 1, _LEVELS + 1)[1:-1]))
        self._levels = len(self._edges) + 1
        self._normal_frames = np.zeros(self._levels)
        self._background = np.zeros(self._levels)
        self._defect = np.zeros(self._levels)
        self._overlap = np.zeros(self._levels)
        self._regions = self._frames = self._hits = 0

    def add_normal(self, heatmap: NDArray[np.float32], shape: tuple[int, int]) -> None:
        """Count a normal frame's heatmap [h, w], enlarged to `shape` (height, width)."""
        self._normal_frames += self._histogram(_enlarged(heatmap, shape))

    def add_abnormal(self, heatmap: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        """Count an abnormal frame's heatmap [h, w] against its mask [H, W], True on defects."""
        heat = _enlarged(heatmap, mask.shape)
        self._background += self._histogram(heat[~mask])
        self._defect += self._histogram(heat[mask])
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        for label in range(1, count):
            inside = self._histogram(heat[labels == label])
            self._overlap += inside / inside.sum()
        self._regions += count - 1
        self._frames += 1
        self._hits += bool(mask.flat[int(heat.argmax())])

    def figures(self) -> PixelFigures | None:
        """Return what the frames so far give; None where no mask had a defect in it."""
        if self._regions == 0:
            return None
        normal = self._normal_frames + self._background
        return PixelFigures(
            auroc=float(_auroc(normal[None], self._defect[None])[0]),
            auroc_within=float(_auroc(self._background[None], self._defect[None])[0]),
            pro=_limited_area(_cumulated(normal[None])[0], _cumulated(self._overlap[None])[0]),
            peak_hits=self._hits / self._frames,
            regions=self._regions,
        )

    def _histogram(self, heat: NDArray[np.float32]) -> Floats:
        levels = np.searchsorted(self._edges, heat.ravel(), side="right")
        return np.bincount(levels, minlength=self._levels).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Counts:
    """How many frames of each kind have each distinct score, in rising order; both [U]."""

    normal: Floats
    abnormal: Floats

    @classmethod
    def of(cls, normal: NDArray[np.floating], abnormal: NDArray[np.floating]) -> _Counts:
        if len(normal) == 0 or len(abnormal) == 0:
            raise ValueError(f"{len(normal)} normal and {len(abnormal)} abnormal scores, wanted at least one of each")
        values, which = np.unique(np.concatenate([normal, abnormal]), return_inverse=True)
        return cls(
            np.bincount(which[: len(normal)], minlength=len(values)).astype(np.float64),
            np.bincount(which[len(normal) :], minlength=len(values)).astype(np.float64),
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


def _cumulated(counts: Floats) -> Floats:
    """Frames at or above each distinct score, from the highest down: [B, U] → [B, U]."""
    from_the_top: Floats = np.cumsum(counts[:, ::-1], axis=1)
    return from_the_top


def _auroc(normal: Floats, abnormal: Floats) -> Floats:
    below = np.cumsum(normal, axis=1) - normal / 2
    wins: Floats = (below * abnormal).sum(axis=1)
    share: Floats = wins / (normal.sum(axis=1) * abnormal.sum(axis=1))
    return share


def _average_precision(normal: Floats, abnormal: Floats) -> Floats:
    hits, alarms = _cumulated(abnormal), _cumulated(abnormal) + _cumulated(normal)
    precision = hits / np.maximum(alarms, 1)
    area: Floats = (precision * abnormal[:, ::-1]).sum(axis=1) / abnormal.sum(axis=1)
    return area


_Statistic = Callable[[NDArray[np.floating], NDArray[np.floating]], float]
_TABLES: dict[_Statistic, Callable[[Floats, Floats], Floats]] = {
    auroc: _auroc,
    average_precision: _average_precision,
}
"""The same figures, worked out for many resamples at once: counts [B, U] → [B]."""


def _limited_area(false_positives: Floats, overlap: Floats) -> float:
    """Mean of the overlap over false-positive rates from 0 to `PRO_LIMIT`; the arguments are cumulated counts."""
    rates = np.concatenate([[0.0], false_positives / false_positives[-1]])
    heights = np.concatenate([[0.0], overlap / overlap[-1]])
    at_limit = np.interp(PRO_LIMIT, rates, heights)
    inside = rates < PRO_LIMIT
    x, y = np.append(rates[inside], PRO_LIMIT), np.append(heights[inside], at_limit)
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / PRO_LIMIT)


def _enlarged(heatmap: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    enlarged = cv2.resize(heatmap, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, dtype=np.float32)
