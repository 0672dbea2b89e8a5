"""`inspectd score`: images one at a time, so that a damaged file does not affect the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.durable_file import write_whole
from agent.core.errors import Permanent
from agent.core.image_bytes import encode
from agent.settings import default_state_directory
from agent.tools.image_list import images_in
from engines.bundles import FileReading, read_bundle
from engines.errors import ImageError, PartNotFoundError
from engines.images import cut_heat, file_of, images_of, prepare, read_image
from engines.runtime import Engine, open_engine


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """Result for one image file."""

    path: Path
    score: float | None = None
    """0 or more, higher for a part that looks less like good ones; None if the image could not be scored."""
    heatmap: Path | None = None
    """File of its heatmap; None if none was written."""
    error: str | None = None
    """Why the image could not be scored, one line; None if it was."""
    without_part: bool = False
    """No part was found in it, by a model with alignment."""

    def document(self) -> dict[str, Any]:
        """For a JSON line."""
        return {"path": str(self.path), "score": self.score, "heatmap": str(self.heatmap) if self.heatmap else None}


def score_paths(
    bundle: Path, paths: Sequence[Path], *, engine_name: str, heatmaps: Path | None
) -> Iterator[ScoredFile]:
    """Score image files, and all image files of folders, in order.

    The heatmaps share one scale: white is twice the hottest spot of the bundle's good reference frames, or more.
    Raises Permanent for a path that does not exist or a folder without images, EngineError for bundle and engine.
    """
    opened = read_bundle(bundle)
    files = [file for path in paths for file in _files(path, opened.manifest.reading)]
    if heatmaps is not None:
        heatmaps.mkdir(parents=True, exist_ok=True)
    written = [None] * len(files) if heatmaps is None else [heatmaps / name for name in _heatmap_names(files)]
    with open_engine(opened, engine_name, directory=default_state_directory()) as engine:
        hottest_good = float(engine.bundle.reference().heatmap.max())
        for file, heatmap in zip(files, written, strict=True):
            yield _score(engine, file, heatmap, hottest_good)


def _heatmap_names(files: Sequence[Path]) -> list[str]:
    """A name for the heatmap of each image: that of the image, with a number where images share it.

    >>> _heatmap_names([Path("a/1.png"), Path("b/1.jpg"), Path("b/2.png")])
    ['1.png', '1-2.png', '2.png']
    """
    names: dict[str, None] = {}
    for file in files:
        name, number = file.stem, 1
        while name in names:
            number += 1
            name = f"{file.stem}-{number}"
        names[name] = None
    return [f"{name}.png" for name in names]


def _files(path: Path, reading: FileReading | None) -> list[Path]:
    if path.is_dir():
        return images_in(path, reading)
    if path.is_file():
        return images_of(path, reading)
    if not file_of(path).exists():
        raise Permanent(f"{path}: no such file or folder")
    return [path]


def _score(engine: Engine, path: Path, heatmap: Path | None, hottest_good: float) -> ScoredFile:
    manifest = engine.bundle.manifest
    try:
        pixels, content, _ = prepare(read_image(path, manifest.reading), manifest)
    except ImageError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return ScoredFile(path, error=reason, without_part=isinstance(error, PartNotFoundError))
    scores = engine.score(pixels[np.newaxis])
    if heatmap is not None:
        shown = cut_heat(pixels[:, :, 0], content).shape
        _write_heatmap(heatmap, cut_heat(scores.heatmap[0], content), hottest_good, (shown[1], shown[0]))
    return ScoredFile(path, float(scores.score[0]), heatmap)


def _write_heatmap(path: Path, heat: NDArray[np.float32], hottest_good: float, size: tuple[int, int]) -> None:
    """Write `heat` [h, w] as PNG of `size` (width, height): black at 0, white at twice `hottest_good`."""
    level = np.clip(heat / max(2.0 * hottest_good, np.finfo(np.float32).tiny), 0.0, 1.0)
    large = cv2.resize((level * 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    # Not by `cv2.imwrite`, which reports success where the disk is full.
    write_whole(path, encode(np.asarray(cv2.applyColorMap(large, cv2.COLORMAP_INFERNO), np.uint8), "image/png"))
