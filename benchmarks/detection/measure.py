"""One run: train a recipe on one task with one seed, score the test images, compute the figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.detection.sets import Task
from engines.bundles import Bundle, read_bundle
from engines.evaluation.evaluate import score_images
from engines.evaluation.metrics import auroc
from engines.evaluation.pixel_metrics import PixelFigures, PixelTally
from engines.evaluation.records import ScoredImages
from engines.images import prepare, read_image
from engines.recipes import anomaly_batch, map_learner
from engines.recipes.feature_branches import BRANCHES
from engines.recipes.feature_scorer import FeatureScorer
from engines.recipes.recipe import DEFAULT_RECIPE
from engines.runtime import open_engine
from engines.runtime.torch import load_scorer
from engines.training.plan import TrainingPlan
from engines.training.train import train_model

UNCHANGED = "complete"
"""The recipe without any ablation."""

# For each row of the ablation table the constants of the recipe that are changed: (module, name, value).
ABLATIONS: Mapping[str, Sequence[tuple[ModuleType, str, Any]]] = {
    UNCHANGED: (),
    "no synthetic anomalies": ((anomaly_batch, "_ANOMALOUS_SHARE", 0.0),),
    "no identity embedding": ((map_learner, "_IDENTITY_SIDE", 1e-9),),
    "no restoration (contextual loss)": ((map_learner, "_RESTORATION_WEIGHT", 0.0),),
    "no averaging of weights": ((map_learner, "_AVERAGED_STEPS", 1),),
}


@dataclass(frozen=True, slots=True)
class RunLength:
    """How long a run trains."""

    minutes: float
    """Export included; ignored with `steps`."""
    steps: int | None = None

    def __str__(self) -> str:
        return f"{self.minutes:g} min" if self.steps is None else f"{self.steps} steps"


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of one run."""

    auroc: float
    interval: tuple[float, float]
    """95 % interval of the AUROC, by bootstrap over images, or over groups where the images of a group are alike."""
    recall: float
    """Share of bad images above the level that one good test image in a hundred exceeds."""
    kinds: dict[str, float]
    """AUROC for each kind of defect; empty where there is only one."""
    branches: dict[str, tuple[float, float]]
    """AUROC of each branch of the score alone, and of the score without it; empty for a recipe without branches."""
    pixel_auroc: float | None
    """Over the pixels of bad images; None without masks."""
    pro: float | None
    """Per-region overlap; None without masks."""
    hit: float | None
    """Share of bad images whose hottest pixel is on a defect; None without masks."""
    milliseconds: float
    """Median time of one frame in ONNX Runtime on all cores."""
    steps: int
    train_seconds: float


def run(
    task: Task, seed: int, length: RunLength, out: Path, ablation: str = UNCHANGED, *, recipe: str = DEFAULT_RECIPE
) -> Figures:
    """Train, unless an interrupted run has left its bundle at `out`, and measure; the bundle stays at `out`."""
    bundle = read_bundle(out) if out.exists() else _train(task, seed, length, out, ablation, recipe)
    with open_engine(bundle, "onnxruntime") as engine:
        good, bad = score_images(engine, task.good), score_images(engine, task.bad)
        milliseconds = _milliseconds(engine, bundle.geometry.shape, bundle.geometry.dtype)
    pixels = _pixels(good, bad, task.masks)
    training = bundle.manifest.training
    assert training is not None, "it was trained above"
    return Figures(
        auroc=float(auroc(good.score, bad.score)),
        interval=bootstrap_interval(good.score, bad.score, task.groups),
        recall=float(np.mean(bad.score > np.quantile(good.score, 0.99, method="higher"))),
        kinds={
            kind: float(auroc(good.score, bad.score[np.array(task.kinds) == kind])) for kind in sorted(set(task.kinds))
        },
        branches=_branches(bundle, good, bad),
        pixel_auroc=pixels.auroc_within if pixels else None,
        pro=pixels.pro if pixels else None,
        hit=pixels.peak_hits if pixels else None,
        milliseconds=milliseconds,
        steps=training.steps,
        train_seconds=training.seconds,
    )


def bootstrap_interval(
    good: NDArray[np.float32],
    bad: NDArray[np.float32],
    groups: tuple[tuple[str, ...], tuple[str, ...]] | None,
    *,
    repeats: int = 1000,
) -> tuple[float, float]:
    """95 % percentile interval of the AUROC; whole groups are drawn where there are several on a side."""
    rng = np.random.default_rng(0)
    sides = [_members(scores, None if groups is None else groups[side]) for side, scores in enumerate((good, bad))]
    draws = [
        auroc(*(np.concatenate([side[index] for index in rng.integers(len(side), size=len(side))]) for side in sides))
        for _ in range(repeats)
    ]
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def _members(scores: NDArray[np.float32], groups: tuple[str, ...] | None) -> list[NDArray[np.float32]]:
    """The scores of each group; of each image where there are fewer than two groups."""
    if groups is None or len(set(groups)) < 2:
        return [scores[index : index + 1] for index in range(len(scores))]
    return [scores[np.array(groups) == group] for group in sorted(set(groups))]


def _train(task: Task, seed: int, length: RunLength, out: Path, ablation: str, recipe: str) -> Bundle:
    minutes = length.minutes if length.steps is None else None
    with _changed(ABLATIONS[ablation]):
        plan = TrainingPlan(
            task.train, out=out, recipe=recipe, size=task.size, minutes=minutes, steps=length.steps, seed=seed
        )
        return train_model(plan).bundle


def _branches(bundle: Bundle, good: ScoredImages, bad: ScoredImages) -> dict[str, tuple[float, float]]:
    scorer = load_scorer(bundle)
    if not isinstance(scorer, FeatureScorer):
        return {}
    first, second = (_shares(scorer, bundle, images.paths) for images in (good, bad))
    return {
        name: (
            float(auroc(first[:, index], second[:, index])),
            float(auroc(*(np.delete(shares, index, 1).sum(1) for shares in (first, second)))),
        )
        for index, name in enumerate(BRANCHES)
    }


def _shares(scorer: FeatureScorer, bundle: Bundle, paths: Sequence[Path]) -> NDArray[np.float32]:
    """What each branch adds to the scores of images, [N, 4]."""
    rows = []
    for path in paths:
        frame = torch.from_numpy(prepare(read_image(path), bundle.manifest).pixels[None])
        with torch.inference_mode():
            rows.append(scorer.branches(scorer.normalise(frame)).numpy())
    return np.concatenate(rows)


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
def _changed(constants: Sequence[tuple[ModuleType, str, Any]]) -> Iterator[None]:
    with ExitStack() as stack:
        for module, name, value in constants:
            stack.enter_context(patch.object(module, name, value))
        yield
