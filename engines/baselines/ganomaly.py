"""GANomaly as this product trains and runs it: the recipes `pretrained`, `scratch` and `reference`.

They are trained to a bundle by `train_model` and score through `open_engine`, as a user's model does. The minutes
include export and verification, and a share of the frames is held out to choose the state that is kept; the other
systems train on all frames and need neither.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import cv2
import numpy as np

from engines.baselines.baseline import Baseline, Limits
from engines.bundles import Frames
from engines.progress import Progress
from engines.recipes.recipe import DEFAULT_RECIPE
from engines.runtime import Engine, open_engine
from engines.training.plan import TrainingPlan
from engines.training.train import train_model


class _Ganomaly(Baseline):
    """A recipe, trained to a bundle in a temporary folder that `close` deletes."""

    recipe: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._folder: TemporaryDirectory[str] | None = None
        self._engine: Engine | None = None

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        self.close()
        self._folder = TemporaryDirectory(prefix="inspectd-compare-")
        folder = Path(self._folder.name)
        plan = TrainingPlan(
            _write(frames, folder),
            out=folder / f"{self.name}.bundle",
            recipe=self.recipe,
            size=(frames.shape[1], frames.shape[2]),
            padding=self.padding,
            minutes=limits.minutes,
            steps=limits.steps,
            seed=seed,
        )
        self._engine = open_engine(train_model(plan, progress).bundle)

    def _score(self, frames: Frames) -> tuple[Any, Any]:
        assert self._engine is not None
        scores = self._engine.score(frames)
        return scores.score, scores.heatmap

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


class GanomalyDefault(_Ganomaly):
    """The product's default recipe."""

    name: ClassVar[str] = "ganomaly"
    title: ClassVar[str] = "GANomaly (inspectd)"
    paper: ClassVar[str] = "this product, after Akcay et al. 2018"
    recipe: ClassVar[str] = DEFAULT_RECIPE


class GanomalyScratch(_Ganomaly):
    """The product's recipe without pretrained weights."""

    name: ClassVar[str] = "ganomaly-scratch"
    title: ClassVar[str] = "GANomaly (inspectd, scratch)"
    paper: ClassVar[str] = "this product, after Akcay et al. 2018"
    recipe: ClassVar[str] = "scratch"


class GanomalyReference(_Ganomaly):
    """GANomaly as published."""

    name: ClassVar[str] = "ganomaly-reference"
    title: ClassVar[str] = "GANomaly (paper)"
    paper: ClassVar[str] = "Akcay et al. 2018"
    recipe: ClassVar[str] = "reference"


def _write(frames: Frames, folder: Path) -> list[Path]:
    """Write frames as PNG, which is lossless; training reads files, and does not resize those of the model's size."""
    paths = [folder / f"{index:06}.png" for index in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        _, encoded = cv2.imencode(".png", np.ascontiguousarray(frame), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        path.write_bytes(encoded.tobytes())
    return paths
