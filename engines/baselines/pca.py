"""PCA reconstruction: what the principal axes of good frames cannot represent is anomalous.

Jackson and Mudholkar, "Control procedures for residuals associated with principal component analysis", Technometrics
21 (1979): the score is the Q statistic, the squared length of the residual (here its mean over the pixels, so that it
does not grow with the frame). As in most of the literature the axes that hold 95 % of the variance are kept. The
heatmap is the squared residual of each pixel, mean over the channels.

Differences from the paper: no control limit is derived from the discarded eigenvalues, since a comparison needs none.
Of more than 2,000 frames, it trains on 2,000.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.principal import Axes, Rows, principal_axes
from engines.bundles import Frames
from engines.progress import Progress

# Share of the variance that the axes hold.
_VARIANCE_SHARE = 0.95

# The eigenvalues of 2,000×2,000 products take seconds; those of 10,000×10,000 take minutes.
_MOST_FRAMES = 2000


class Pca(Baseline):
    """Principal component analysis of the pixels."""

    name: ClassVar[str] = "pca"
    title: ClassVar[str] = "PCA"
    paper: ClassVar[str] = "Jackson and Mudholkar 1979"
    seeded: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._axes: Axes | None = None

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        self._axes = principal_axes(self._rows(evenly_spaced_frames(frames, _MOST_FRAMES)), _VARIANCE_SHARE)

    def _score(self, frames: Frames) -> tuple[Any, Any]:
        assert self._axes is not None
        rows = self._rows(frames)
        residual = rows - self._axes.mean - self._axes.coordinates(rows) @ self._axes.axes
        height, width, channels = frames.shape[1:]
        heatmap = np.square(residual).reshape(-1, channels, height, width).mean(axis=1)
        return heatmap.mean(axis=(1, 2)), heatmap

    def _rows(self, frames: Frames) -> Rows:
        return self.normalised(frames).flatten(1).numpy()


def evenly_spaced_frames(frames: Frames, most: int) -> Frames:
    """Return at most `most` frames [N, H, W, C], evenly spaced, the first and the last included."""
    chosen: Frames = frames[np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int)]
    return chosen
