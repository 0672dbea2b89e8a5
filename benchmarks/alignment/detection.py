"""Detection on simulated parts that lie anyhow, with and without alignment: the memories of good patches, untrained.

What the recipe `pretrained` measures without a step of training, the branches `local` and `whole` of
`engines.recipes.feature_scorer`: the same images, size, features and memories, and only the view differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from agent.sources.simulator import SimulatedLine, write_folder
from benchmarks.alignment.search import REGIONS
from engines.errors import PartNotFoundError
from engines.evaluation.metrics import auroc as area
from engines.evaluation.metrics import bootstrap
from engines.images import AlignmentChoice, list_images, prepare_for, read_image
from engines.recipes.feature_scorer import BRANCHES, FeatureScorer
from engines.recipes.recipe import find_recipe
from engines.recipes.scorer import normalisation_of
from engines.training.good_frames import GoodFrames, NormalisedFrames, in_batches, load_good_frames, split
from engines.training.view_choice import ViewChoice

_DEFECT_RATE, _TRAIN_SHARE, _BATCH = 0.3, 0.6, 16


@dataclass(frozen=True)
class Detected:
    """The figures of one view."""

    name: str
    auroc: dict[str, str]
    """AUROC of each branch, with its interval."""
    without_part: int

    def row(self) -> str:
        """A row of the table."""
        return f"| {self.name} | {self.auroc['local']} | {self.auroc['whole']} | {self.without_part} |"


def images(mode: str, count: int, work: Path) -> Path:
    """Loose parts, written once: train/good, test/good, test/defect."""
    root = work / f"loose-{mode}-{count}"
    if not root.is_dir():
        unfinished = work / f"{root.name}.unfinished"
        write_folder(unfinished, mode, count, _DEFECT_RATE, seed=1, train_share=_TRAIN_SHARE, loose=True)
        unfinished.rename(root)
    return root


def detection(mode: str, view: str, work: Path, *, count: int, size: tuple[int, int]) -> Detected:
    """One `view`: `aligned`, `the same crop` without alignment, or the `whole image`."""
    root, region = images(mode, count, work), REGIONS[mode]
    taught = work / f"taught-{mode}.png"
    cv2.imwrite(str(taught), SimulatedLine(mode, seed=5, defect_rate=0.0, frames_per_part=1).image(0))
    good = load_good_frames(
        root / "train" / "good",
        size,
        ViewChoice(
            crop=None if view == "whole image" else region,
            align=AlignmentChoice(taught, region) if view == "aligned" else None,
        ),
    )
    scorer = remembering(good)
    (normal, missing), (abnormal, more) = (
        _branches(scorer, good, list_images(root / "test" / kind)) for kind in ("good", "defect")
    )
    figures = {name: str(bootstrap(area, normal[:, at], abnormal[:, at])) for at, name in enumerate(BRANCHES)}
    return Detected(f"{mode}, {view}", figures, missing + more)


def remembering(good: GoodFrames) -> FeatureScorer:
    """The scorer of the recipe `pretrained` on good frames, without training."""
    recipe, normalisation = find_recipe("pretrained"), normalisation_of(good.frames)
    torch.manual_seed(0)
    networks = recipe.networks(good.geometry)
    recipe.learner(networks, good.geometry)
    scorer: Any = recipe.scorer(networks, normalisation).eval()
    parts = (NormalisedFrames(good.frames[chosen], normalisation) for chosen in split(len(good.frames), seed=0))
    with torch.no_grad():
        recipe.fit_scorer(scorer, *(in_batches(frames, _BATCH) for frames in parts))
    assert isinstance(scorer, FeatureScorer)
    return scorer


def _branches(scorer: FeatureScorer, good: GoodFrames, paths: Sequence[Path]) -> tuple[np.ndarray, int]:
    """What each branch says about images, [N, 4], and in how many no part was found."""
    frames: list[Any] = []
    for path in paths:
        try:
            frames.append(prepare_for(read_image(path), good.view, good.geometry).pixels)
        except PartNotFoundError:
            continue
    shown = NormalisedFrames(np.stack(frames), normalisation_of(good.frames))
    with torch.no_grad():
        found = torch.cat([scorer.branches(batch) for batch in in_batches(shown, _BATCH)])
    return found.numpy(), len(paths) - len(frames)
