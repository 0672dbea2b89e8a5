"""Evaluate a model on images that it was not trained on: folders of normal and abnormal ones, with or without masks.

Nothing is fitted to the images it is evaluated on: scores are not scaled, and a threshold is not tested on the images
that it was calibrated on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundles import View
from engines.errors import EngineError, ImageError, PartNotFoundError
from engines.evaluation.at_threshold import Judge
from engines.evaluation.metrics import auroc, average_precision, bootstrap
from engines.evaluation.pixel_metrics import PixelFigures, PixelTally
from engines.evaluation.records import Evaluation, ScoredImages
from engines.images import SUFFIXES, Content, Pose, cut_as, cut_mask, list_images, prepare, read_image
from engines.progress import Progress
from engines.runtime import Engine

Images = Path | str | Sequence[Path]
"""A folder, or a list of files."""

_BATCH = 16


def evaluate_engine(
    engine: Engine,
    normal: Images,
    abnormal: Images,
    masks: Path | str | None = None,
    *,
    judge: Judge | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score normal and abnormal images and compute the figures.

    `masks` is a folder of mask images, named like the image's stem or with `_mask` behind it; pixels above 0 are
    defects. `judge` finds the detection at a threshold from the scores (`engines.evaluation.at_threshold`). `seed` is
    that of the bootstrap. With `out`, evaluation.json is written there, and the report if charts are available
    (`engines.evaluation.charts`). Raises EngineError if one of the sets has no usable image.
    """
    report = progress or (lambda fraction, message: None)
    good = score_images(engine, normal, lambda fraction, _: report(0.4 * fraction, "scoring normal images"))
    bad = score_images(engine, abnormal, lambda fraction, _: report(0.4 + 0.4 * fraction, "scoring abnormal images"))
    report(0.8, "computing the figures")
    result = _figures(engine, good, bad, masks, judge, seed)
    if out is not None:
        from engines.evaluation.report import write_evaluation

        report(0.9, "drawing the report")
        write_evaluation(Path(out), engine.bundle, result, good, bad)
    report(1.0, "done")
    return result


def _figures(
    engine: Engine,
    good: ScoredImages,
    bad: ScoredImages,
    masks: Path | str | None,
    judge: Judge | None,
    seed: int,
) -> Evaluation:
    mask_files, view = find_masks(bad.paths, masks), engine.bundle.manifest.view
    return Evaluation(
        bundle=engine.bundle.sha256,
        engine=engine.name,
        normal=len(good.score),
        abnormal=len(bad.score),
        auroc=bootstrap(auroc, good.score, bad.score, seed=seed),
        average_precision=bootstrap(average_precision, good.score, bad.score, seed=seed),
        chance_precision=len(bad.score) / (len(good.score) + len(bad.score)),
        at_threshold=None if judge is None else judge(good.score, bad.score),
        pixels=pixel_figures(good, bad, mask_files, view),
        masks_missing=sum(file is None for file in mask_files) if masks is not None else 0,
        skipped=(*good.skipped, *bad.skipped),
        without_part=good.without_part + bad.without_part,
    )


def score_images(engine: Engine, images: Images, progress: Progress | None = None) -> ScoredImages:
    """Score the images of a folder or list; unusable files are skipped and named. EngineError if none is usable."""
    manifest = engine.bundle.manifest
    if isinstance(images, (str, Path)):
        paths = list_images(images, manifest.reading)
    else:
        paths = [Path(path) for path in images]
    used: list[Path] = []
    skipped: list[str] = []
    scores: list[Any] = []
    contents: list[Content | None] = []
    poses: list[Pose | None] = []
    without_part = 0
    for start in range(0, len(paths), _BATCH):
        frames: list[Any] = []
        for path in paths[start : start + _BATCH]:
            try:
                pixels, content, pose = prepare(read_image(path, manifest.reading), manifest)
            except ImageError as error:
                skipped.append(with_path(path, error))
                without_part += isinstance(error, PartNotFoundError)
                continue
            frames.append(pixels)
            contents.append(content)
            poses.append(pose)
            used.append(path)
        if frames:
            scores.append(engine.score(np.stack(frames)))
        if progress is not None:
            progress(min(1.0, (start + _BATCH) / len(paths)), "scoring")
    if not scores:
        raise none_usable(images, len(paths), skipped)
    score = np.concatenate([part.score for part in scores])
    heatmap = np.concatenate([part.heatmap for part in scores])
    return ScoredImages(
        tuple(used), score, heatmap, tuple(skipped), tuple(contents), tuple(poses), without_part=without_part
    )


def none_usable(images: object, number: int, skipped: Sequence[str]) -> EngineError:
    """The error about images, a folder or a list, of which none can be scored; `skipped` has a line for each.

    >>> print(none_usable("bad/", 0, []))
    bad/: no images there, wanted at least one
    """
    if number == 0:
        return EngineError(f"{images}: no images there, wanted at least one")
    return EngineError(f"{images}: none of {number} images can be used; {skipped[0]}")


def with_path(path: Path, error: ImageError) -> str:
    """Return the text of an error, preceded by the path unless it starts with it."""
    text = str(error)
    return text if text.startswith(str(path)) else f"{path}: {text}"


def find_masks(paths: Sequence[Path], masks: Path | str | None) -> list[Path | None]:
    """Find the mask file of each image, None if it has none; EngineError if not one image has a mask."""
    if masks is None:
        return [None] * len(paths)
    by_stem = {path.stem: path for path in list_images(masks) if path.suffix.lower() in SUFFIXES}
    files = [by_stem.get(path.stem, by_stem.get(f"{path.stem}_mask")) for path in paths]
    if all(file is None for file in files):
        raise EngineError(
            f"{masks}: none of its {len(by_stem)} files is named like an abnormal image ({paths[0].stem}…)"
        )
    return files


def inspected_defects(file: Path, view: View | None, pose: Pose | None) -> NDArray[np.bool_]:
    """The mask of the defects in what the view inspects of an image with this pose, [h, w].

    Raises EngineError if it does not fit the view.
    """
    try:
        return np.asarray(cut_as(read_image(file), view, pose, nearest=True).max(axis=2) > 0)
    except ImageError as error:
        raise EngineError(with_path(file, error)) from None


def pixel_figures(
    good: ScoredImages, bad: ScoredImages, mask_files: Sequence[Path | None], view: View | None = None
) -> PixelFigures | None:
    """Compute how well heatmaps locate the defects, over all normal images and the abnormal ones with a mask.

    Masks of defects have the size of the source images, of which heatmaps show what the `view` inspects; what it
    excludes does not count. None if there is no mask.
    """
    pairs = [(index, file) for index, file in enumerate(mask_files) if file is not None]
    if not pairs:
        return None
    counted = None if view is None or view.mask is None else cut_mask(view.mask, view.crop)
    tally = PixelTally(np.concatenate([good.heatmap, bad.heatmap[[index for index, _ in pairs]]]), counted)
    shape = (0, 0)
    for index, file in pairs:
        mask = inspected_defects(file, view, bad.pose(index))
        shape = mask.shape
        tally.add_abnormal(bad.heat(index), mask)
    # Normal images have no masks; at the last mask's size their pixels count as much as those of abnormal images.
    for index in range(len(good.heatmap)):
        tally.add_normal(good.heat(index), shape)
    return tally.figures()
