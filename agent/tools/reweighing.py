"""Other factors, or other regions, for what counts in a bundle: a copy of it, without a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent.tools.image_list import images_in
from engines.bundles import (
    HIGHEST_FACTOR,
    LEAST_FACTOR,
    Bundle,
    Frames,
    Manifest,
    Sensitivity,
    View,
    check_replaceable,
    read_bundle,
)
from engines.errors import BundleError, ImageError
from engines.evaluation.evaluate import with_path
from engines.images import SensitivityChoice, prepare, read_image, read_shape
from engines.progress import Progress
from engines.recipes.recipe import find_recipe
from engines.training.packing import reweigh


@dataclass(frozen=True, slots=True)
class NewRegions:
    """What is to count more or less: regions, or factors for those of the bundle; neither: nothing."""

    regions: SensitivityChoice | None = None
    factors: tuple[float, ...] | None = None


def reweighed(
    path: Path, wanted: NewRegions, out: Path, normal: Path | None, progress: Progress
) -> tuple[Bundle, list[str]]:
    """Write the copy to `out`; returns it, and a line for each image of `normal` that could not be used.

    `normal`: folder of good parts that the model was not trained on; None: none.

    Raises BundleError or ImageError where the bundle has no such regions, or cannot have any.
    """
    check_replaceable(out)
    bundle = read_bundle(path)
    manifest = bundle.manifest
    if manifest.view is None or manifest.recipe is None:
        raise BundleError(f"{path}: it was trained by an earlier version, or not by `inspectd train`; train it again")
    if not find_recipe(manifest.recipe.name).places:
        raise BundleError(
            f"{path}: the score of the recipe {manifest.recipe.name} has no places, so no region can count more"
        )
    paths = [] if normal is None else images_in(normal, manifest.reading)
    sensitivity = _sensitivity(path, manifest.view, wanted, paths)
    good, skipped = _inputs(paths, manifest)
    return reweigh(bundle, sensitivity, out, good, progress), skipped


def _sensitivity(path: Path, view: View, wanted: NewRegions, paths: Sequence[Path]) -> Sensitivity | None:
    if wanted.factors is not None:
        return _with_factors(path, view, wanted.factors)
    return None if wanted.regions is None else wanted.regions.for_size(*_size(path, view, paths), view.crop)


def _with_factors(path: Path, view: View, factors: Sequence[float]) -> Sensitivity:
    known = () if view.sensitivity is None else view.sensitivity.regions
    if len(factors) != len(known):
        regions = f"{len(known)} region{'' if len(known) == 1 else 's'}"
        raise BundleError(f"{path}: got {len(factors)} factors for {regions} of other sensitivity, wanted one for each")
    wrong = next((factor for factor in factors if not LEAST_FACTOR <= factor <= HIGHEST_FACTOR), None)
    if wrong is not None:
        raise BundleError(f"got sensitivity {wrong:g}, wanted a factor from {LEAST_FACTOR:g} to {HIGHEST_FACTOR:g}")
    assert view.sensitivity is not None
    changed = [each.model_copy(update={"factor": factor}) for each, factor in zip(known, factors, strict=True)]
    return view.sensitivity.model_copy(update={"regions": tuple(changed)})


def _size(path: Path, view: View, paths: Sequence[Path]) -> tuple[int, int]:
    """Height and width of the source images, pixels: as the bundle knows them, else those of a good image."""
    for known in (view.sensitivity, view.mask, view.alignment):
        if known is not None:
            return known.height, known.width
    if not paths:
        raise BundleError(f"{path}: it does not say how large its images are; wanted --normal with some of them")
    return read_shape(paths[0], view.reading)


def _inputs(paths: Sequence[Path], manifest: Manifest) -> tuple[Frames | None, list[str]]:
    """The model's inputs for images; None without any."""
    frames: list[Any] = []
    skipped: list[str] = []
    for path in paths:
        try:
            frames.append(prepare(read_image(path, manifest.reading), manifest)[0])
        except ImageError as error:
            skipped.append(with_path(path, error))
    if paths and not frames:
        raise ImageError(f"{paths[0].parent}: none of {len(paths)} images fits the bundle: {skipped[0]}")
    return (np.stack(frames) if frames else None), skipped
