"""Records of an evaluation."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.evaluation.metrics import Interval, PixelFigures


@dataclass(frozen=True, slots=True)
class ScoredImages:
    """Images of one kind with what the engine says of them."""

    paths: tuple[Path, ...]
    score: NDArray[np.float32]
    """[N]."""
    heatmap: NDArray[np.float32]
    """[N, h, w]."""
    skipped: tuple[str, ...]
    """One line for each file that could not be used."""


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What a threshold does."""

    threshold: float
    recall: float
    """Share of abnormal images above it."""
    false_alarm_rate: float
    """Share of normal images above it, of those that it was not found with."""
    normal: int
    """Normal images that this share was counted on."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one model on one set of images."""

    bundle: str
    """sha256 of the bundle."""
    engine: str
    normal: int
    """Normal images that were scored."""
    abnormal: int
    """Abnormal images that were scored."""
    auroc: Interval
    """Image level."""
    average_precision: Interval
    """Image level, abnormal images as positives; `chance_precision` is what a coin would get."""
    chance_precision: float
    at_threshold: AtThreshold | None
    """At the threshold that was given, or found."""
    pixels: PixelFigures | None
    """Against the masks, where there are any."""
    masks_missing: int
    """Abnormal images without a mask, left out of the pixel figures."""
    skipped: tuple[str, ...]
    """One line for each file that could not be used."""

    def to_json(self) -> str:
        """As `--json` prints it."""
        return json.dumps(dataclasses.asdict(self), indent=2)
