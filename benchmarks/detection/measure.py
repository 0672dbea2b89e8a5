"""One run: train the product's recipe on one task with one seed, score the test images, work out the figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.detection.sets import Images
from engines.bundles import Bundle, read_bundle
from engines.evaluation.evaluate import score_images
from engines.evaluation.metrics import PixelFigures, PixelTally, auroc
from engines.evaluation.records import ScoredImages
from engines.images import read_image
from engines.recipes import default
from engines.runtime import open_engine
from engines.training.train import train

# What is left out or changed for the ablation table: constants of the recipe, and what they are then.
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "no damage": {"_DAMAGED_SHARE": 0.0},
    "no identities": {"_IDENTITY_SIDE": 1e-9},
    "no restoration (contextual loss)": {"_RESTORATION_WEIGHT": 0.0},
    "no averaging of weights": {"_AVERAGED_STEPS": 1},
}


@dataclass(frozen=True, slots=True)
class Length:
    """How long a run trains."""

    minutes: float
    """Export included; counts where `steps` is None."""
    steps: int | None = None

    def __str__(self) -> str:
        return f"{self.minutes:g} min" if self.steps is None else f"{self.steps} steps"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave."""

    auroc: float
    pixel_auroc: float | None
    """Over the pixels of bad images; None without masks, as are the next two."""
    pro: float | None
    hit: float | None
    """Share of bad images whose hottest place lies on a defect."""
    milliseconds: float
    """Time of one frame through ONNX Runtime, median, on all cores."""
    steps: int
    train_seconds: float


def run(images: Images, seed: int, length: Length, out: Path, ablation: str = "as it is") -> Figures:
    """Train, unless `out` is there from a run that was stopped, and measure; the bundle stays at `out`."""
    bundle = read_bundle(out) if out.exists() else _train(images, seed, length, out, ablation)
    with open_engine(bundle, "onnxruntime") as engine:
        good, bad = score_images(engine, images.good), score_images(engine, images.bad)
        milliseconds = _milliseconds(engine, bundle.geometry.shape, bundle.geometry.dtype)
    pixels = _pixels(good, bad, images.masks)
    training = bundle.manifest.training
    assert training is not None, "it was trained above"
    return Figures(
        auroc=float(auroc(good.score, bad.score)),
        pixel_auroc=pixels.auroc_within if pixels else None,
        pro=pixels.pro if pixels else None,
        hit=pixels.peak_hits if pixels else None,
        milliseconds=milliseconds,
        steps=training.steps,
        train_seconds=training.seconds,
    )


def _train(images: Images, seed: int, length: Length, out: Path, ablation: str) -> Bundle:
    minutes = length.minutes if length.steps is None else None
    with _changed(ABLATIONS[ablation]):
        return train(
            images.train, out=out, recipe="default", size=images.size, minutes=minutes, steps=length.steps, seed=seed
        ).bundle


def _pixels(good: ScoredImages, bad: ScoredImages, masks: Path | None) -> PixelFigures | None:
    if masks is None:
        return None
    tally = PixelTally(np.concatenate([good.heatmap, bad.heatmap]))
    for path, heatmap in zip(bad.paths, bad.heatmap, strict=True):
        tally.add_abnormal(heatmap, read_image(masks / f"{path.stem}.png").max(axis=2) > 0)
    return tally.figures()


def _milliseconds(engine: Any, shape: tuple[int, ...], dtype: Any) -> float:
    frame = np.random.default_rng(0).integers(0, 200, (1, *shape)).astype(dtype)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        engine.score(frame)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[5:]))


@contextmanager
def _changed(constants: Mapping[str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for name, value in constants.items():
            stack.enter_context(patch.object(default, name, value))
        yield
