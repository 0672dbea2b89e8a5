"""Detection figures at pixel level: pixel AUROC, per-region overlap (PRO), and how often the peak is on a defect."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.evaluation.metrics import Floats, auroc_of_counts, cumulated_from_top

PRO_LIMIT = 0.3
"""False-positive rate up to which per-region overlap is averaged (Bergmann et al., CVPR 2019 and IJCV 2021)."""

# Bins of equal share that heatmap values are counted in: with 4,096 a pixel AUROC is off by less than 0.0002.
_BINS = 4096


@dataclass(frozen=True, slots=True)
class PixelFigures:
    """How well heatmaps locate the defects."""

    auroc: float
    """Over all pixels of all images."""
    auroc_within: float
    """Over the pixels of the abnormal images only: not affected by other differences between the two folders."""
    pro: float
    """Per-region overlap: mean share of a defect's region above a level, averaged over false-positive rates ≤ 0.3."""
    peak_hits: float
    """Share of abnormal images whose hottest pixel is on a defect."""
    regions: int
    """Connected regions in the masks."""


class PixelTally:
    """Counts pixels of heatmaps and masks image by image: memory does not grow with the number of images."""

    def __init__(self, heatmaps: NDArray[np.float32], inspected: NDArray[np.bool_] | None = None) -> None:
        """Take the bins from all heatmaps [N, h, w] that will be added.

        Only pixels that are `inspected` [H, W] count, where the bundle has a mask; None: all of them.
        """
        self._inspected = inspected
        self._edges = np.unique(np.quantile(heatmaps, np.linspace(0, 1, _BINS + 1)[1:-1]))
        self._bins = len(self._edges) + 1
        self._normal = np.zeros(self._bins)
        self._background = np.zeros(self._bins)
        self._defect = np.zeros(self._bins)
        self._overlap = np.zeros(self._bins)
        self._regions = self._images = self._hits = 0

    def add_normal(self, heatmap: NDArray[np.float32], shape: tuple[int, int]) -> None:
        """Count a normal image's heatmap [h, w], enlarged to `shape` (height, width)."""
        heat = _enlarged(heatmap, shape)
        self._normal += self._histogram(heat if self._inspected is None else heat[self._inspected])

    def add_abnormal(self, heatmap: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        """Count an abnormal image's heatmap [h, w] against its mask [H, W], True on defects."""
        heat, background = _enlarged(heatmap, mask.shape), ~mask
        if self._inspected is not None:
            mask, background = mask & self._inspected, background & self._inspected
            heat = np.where(self._inspected, heat, np.float32(-1.0))
        self._background += self._histogram(heat[background])
        self._defect += self._histogram(heat[mask])
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        for label in range(1, count):
            region = self._histogram(heat[labels == label])
            self._overlap += region / region.sum()
        self._regions += count - 1
        self._images += 1
        self._hits += bool(mask.flat[int(heat.argmax())])

    def figures(self) -> PixelFigures | None:
        """Compute the figures of the images so far; None if no mask had a defect in it."""
        if self._regions == 0:
            return None
        normal = self._normal + self._background
        return PixelFigures(
            auroc=float(auroc_of_counts(normal[None], self._defect[None])[0]),
            auroc_within=float(auroc_of_counts(self._background[None], self._defect[None])[0]),
            pro=_mean_overlap(cumulated_from_top(normal[None])[0], cumulated_from_top(self._overlap[None])[0]),
            peak_hits=self._hits / self._images,
            regions=self._regions,
        )

    def _histogram(self, heat: NDArray[np.float32]) -> Floats:
        bins = np.searchsorted(self._edges, heat.ravel(), side="right")
        return np.bincount(bins, minlength=self._bins).astype(np.float64)


def _mean_overlap(false_positives: Floats, overlap: Floats) -> float:
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
