"""Results of an evaluation."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.evaluation.at_threshold import AtThreshold
from engines.evaluation.metrics import Interval
from engines.evaluation.pixel_metrics import PixelFigures
from engines.images import Content, Pose, cut_heat


@dataclass(frozen=True, slots=True)
class ScoredImages:
    """Images of one kind with their scores and heatmaps."""

    paths: tuple[Path, ...]
    score: NDArray[np.float32]
    """[N]."""
    heatmap: NDArray[np.float32]
    """[N, h, w]."""
    skipped: tuple[str, ...]
    """One line for each file that could not be used."""
    contents: tuple[Content | None, ...] = ()
    """The part of each heatmap that shows the image, None for all of it; empty if that is so for all."""
    poses: tuple[Pose | None, ...] = ()
    """How the part lies in each image; empty for a model without alignment."""
    without_part: int = 0
    """How many of the `skipped` files show no part."""

    def heat(self, index: int) -> NDArray[np.float32]:
        """The part of a heatmap that shows the image, [h, w]."""
        return cut_heat(self.heatmap[index], self.contents[index] if self.contents else None)

    def pose(self, index: int) -> Pose | None:
        """How the part lies in an image; None for a model without alignment."""
        return self.poses[index] if self.poses else None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one model on one set of images."""

    bundle: str
    """sha256 of the bundle."""
    engine: str
    normal: int
    """Normal images scored."""
    abnormal: int
    """Abnormal images scored."""
    auroc: Interval
    """Image level."""
    average_precision: Interval
    """Image level, abnormal images as positives."""
    chance_precision: float
    """Average precision of random scores."""
    at_threshold: AtThreshold | None
    """At the given or calibrated threshold; None without one."""
    pixels: PixelFigures | None
    """Against the masks; None without masks."""
    masks_missing: int
    """Abnormal images without a mask, excluded from the pixel figures."""
    skipped: tuple[str, ...]
    """One line for each file that could not be used."""
    without_part: int = 0
    """How many of these show no part, by a model with alignment."""

    def to_json(self) -> str:
        """Return the JSON document that `--json` prints."""
        return json.dumps(dataclasses.asdict(self), indent=2)
