"""The new model beside the one in force, on confirmed defects and on good images that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.alarms import stored_window, to_8_bit
from agent.core.image_bytes import encode
from agent.tools.score_files import score_paths
from agent.tools.training_job.images import JobImages
from engines.errors import EngineError, ImageError
from engines.evaluation.metrics import auroc
from engines.images import read_image

_THUMBNAIL_SIDE = 240

# On the page, each is a row.
_MOST_SHOWN = 200


def compare(
    images: JobImages, models: dict[str, Path], thumbnails: Path, report: Callable[[float, str], None]
) -> dict[str, Any]:
    """Score the images with each of `models`, `new` and `old`.

    Of a model that cannot be read, the document has the reason instead of scores.
    """
    paths = [*images.held_out, *images.defects]
    bad = [False] * len(images.held_out) + [True] * len(images.defects)
    thumbnails.mkdir(exist_ok=True)
    rows = [{"id": path.stem, "bad": is_bad} for path, is_bad in zip(paths, bad, strict=True)]
    document: dict[str, Any] = {"good": bad.count(False), "bad": bad.count(True), "models": {}}
    for place, (name, bundle) in enumerate(models.items()):
        report(place / (len(models) + 1), "comparing the models")
        try:
            found = [each.score for each in score_paths(bundle, paths, engine_name="auto", heatmaps=None)]
        except EngineError as error:
            document["models"][name] = {"error": str(error)}
            continue
        document["models"][name] = _summary(found, bad)
        for row, score in zip(rows, found, strict=True):
            row[name] = score
    for row, path in zip(rows[:_MOST_SHOWN], paths, strict=False):
        _write_thumbnail(path, thumbnails / f"{row['id']}.jpg")
    return {**document, "images": rows[:_MOST_SHOWN]}


def _summary(scores: Sequence[float | None], bad: Sequence[bool]) -> dict[str, Any]:
    """Highest and median good score, how many defects are above every good image, and the AUROC; None where unknown."""
    good = [score for score, is_bad in zip(scores, bad, strict=True) if score is not None and not is_bad]
    defects = [score for score, is_bad in zip(scores, bad, strict=True) if score is not None and is_bad]
    highest = max(good, default=None)
    return {
        "unreadable": sum(score is None for score in scores),
        "median_good": float(np.median(good)) if good else None,
        "highest_good": highest,
        "above": None if highest is None or not defects else sum(score > highest for score in defects),
        "auroc": auroc(np.asarray(good), np.asarray(defects)) if good and defects else None,
    }


def _write_thumbnail(path: Path, target: Path) -> None:
    try:
        image = read_image(path)
    except ImageError:
        return
    shown = to_8_bit(image, stored_window(image))
    scale = _THUMBNAIL_SIDE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    target.write_bytes(encode(np.asarray(small, np.uint8), "image/jpeg", quality=80))
