"""Evaluate a model on frames that it has never seen: folders of good and of bad images, with or without masks.

Nothing here is fitted to what it is measured on: scores are taken as they come, and a threshold is given, or found on
half of the good frames and tried on the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError, ImageError
from engines.evaluation.metrics import PixelFigures, PixelTally, auroc, average_precision, bootstrap
from engines.evaluation.records import AtThreshold, Evaluation, ScoredImages
from engines.images import SUFFIXES, fit, list_images, read_image
from engines.progress import Progress
from engines.runtime import Engine

Images = Path | str | Sequence[Path]
"""A folder, or a list of files."""


_BATCH = 16


Calibrator = Callable[[NDArray[np.float32]], "float | None"]
"""Finds a threshold from the scores [N] of good images; None where they are too few for one."""


def evaluate(
    engine: Engine,
    normal: Images,
    abnormal: Images,
    masks: Path | str | None = None,
    *,
    threshold: float | Calibrator | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score normal and abnormal images and work out the figures.

    `masks` is a folder of mask images, the image's stem or stem plus `_mask` as name, anything above 0 a defect.
    `threshold` is a score; or it finds one from every other normal image, and false alarms are counted on the rest.
    `seed` is that of the bootstrap. With `out`, the pictures and the
    report are written there (`engines.evaluation.report`). Raises EngineError where one of the sets has no usable
    image.
    """
    tell = progress or (lambda share, message: None)
    good = score_images(engine, normal, lambda share, _: tell(0.4 * share, "scoring normal images"))
    bad = score_images(engine, abnormal, lambda share, _: tell(0.4 + 0.4 * share, "scoring abnormal images"))
    tell(0.8, "working out the figures")
    mask_files = mask_files_of(bad.paths, masks)
    result = Evaluation(
        bundle=engine.bundle.sha256,
        engine=engine.name,
        normal=len(good.score),
        abnormal=len(bad.score),
        auroc=bootstrap(auroc, good.score, bad.score, seed=seed),
        average_precision=bootstrap(average_precision, good.score, bad.score, seed=seed),
        chance_precision=len(bad.score) / (len(good.score) + len(bad.score)),
        at_threshold=_at_threshold(good.score, bad.score, threshold),
        pixels=pixel_figures(good, bad, mask_files),
        masks_missing=sum(file is None for file in mask_files) if masks is not None else 0,
        skipped=(*good.skipped, *bad.skipped),
    )
    if out is not None:
        from engines.evaluation.report import write_report

        tell(0.9, "drawing the report")
        write_report(Path(out), engine.bundle, result, good, bad)
    tell(1.0, "done")
    return result


def score_images(engine: Engine, images: Images, progress: Progress | None = None) -> ScoredImages:
    """Score the images of a folder or list; what cannot be read is skipped and named. EngineError where none is
    left."""
    paths = list_images(images) if isinstance(images, (str, Path)) else [Path(path) for path in images]
    used: list[Path] = []
    skipped: list[str] = []
    scores: list[Any] = []
    for start in range(0, len(paths), _BATCH):
        frames: list[Any] = []
        for path in paths[start : start + _BATCH]:
            try:
                frames.append(fit(read_image(path), engine.bundle.geometry))
                used.append(path)
            except ImageError as error:
                skipped.append(_naming(path, error))
        if frames:
            scores.append(engine.score(np.stack(frames)))
        if progress is not None:
            progress(min(1.0, (start + _BATCH) / len(paths)), "scoring")
    if not scores:
        first = f"; {skipped[0]}" if skipped else ""
        raise EngineError(f"{images}: no usable image among {len(paths)}{first}")
    score = np.concatenate([part.score for part in scores])
    return ScoredImages(tuple(used), score, np.concatenate([part.heatmap for part in scores]), tuple(skipped))


def _naming(path: Path, error: ImageError) -> str:
    text = str(error)
    return text if text.startswith(str(path)) else f"{path}: {text}"


def _at_threshold(
    normal: NDArray[np.float32], abnormal: NDArray[np.float32], threshold: float | Calibrator | None
) -> AtThreshold | None:
    if callable(threshold):
        found = threshold(normal[::2])
        return None if found is None else _at_threshold(normal[1::2], abnormal, found)
    if threshold is None:
        return None
    false, found_bad = float(np.mean(normal > threshold)), float(np.mean(abnormal > threshold))
    return AtThreshold(threshold, found_bad, false, len(normal))


def mask_files_of(paths: Sequence[Path], masks: Path | str | None) -> list[Path | None]:
    """The mask file of each image, or None; EngineError where not one image has a mask."""
    if masks is None:
        return [None] * len(paths)
    by_stem = {path.stem: path for path in list_images(masks) if path.suffix.lower() in SUFFIXES}
    files = [by_stem.get(path.stem, by_stem.get(f"{path.stem}_mask")) for path in paths]
    if all(file is None for file in files):
        raise EngineError(
            f"{masks}: none of its {len(by_stem)} files is named like an abnormal image ({paths[0].stem}…)"
        )
    return files


def pixel_figures(good: ScoredImages, bad: ScoredImages, mask_files: Sequence[Path | None]) -> PixelFigures | None:
    """How well heat tells where the defects are, over all images that have a mask and all good ones; None without."""
    pairs = [(heatmap, file) for heatmap, file in zip(bad.heatmap, mask_files, strict=True) if file is not None]
    if not pairs:
        return None
    tally = PixelTally(np.concatenate([good.heatmap, np.stack([heatmap for heatmap, _ in pairs])]))
    shape = (0, 0)
    for heatmap, file in pairs:
        mask = read_image(file).max(axis=2) > 0
        shape = mask.shape
        tally.add_abnormal(heatmap, mask)
    # Normal frames have no masks; the last mask's size makes their pixels count as much as those of abnormal frames.
    for heatmap in good.heatmap:
        tally.add_normal(heatmap, shape)
    return tally.figures()
