"""Scoring pictures from the command line: one at a time, so that one broken file costs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.errors import Permanent
from agent.settings import default_state_directory
from engines.bundles import read_bundle
from engines.errors import ImageError
from engines.images import fit, list_images, read_image
from engines.runtime import Engine, open_engine


@dataclass(frozen=True, slots=True)
class Scored:
    """One picture's result."""

    path: Path
    score: float | None = None
    """Latent distance; None where the picture could not be scored."""
    heatmap: Path | None = None
    """Where its heatmap was written."""
    error: str | None = None
    """Why it could not be scored, one line."""

    def document(self) -> dict[str, Any]:
        """For a JSON line."""
        return {"path": str(self.path), "score": self.score, "heatmap": str(self.heatmap) if self.heatmap else None}


def score_paths(bundle: Path, paths: Sequence[Path], *, engine_name: str, heatmaps: Path | None) -> Iterator[Scored]:
    """Score files, and all pictures of folders, in order.

    The heatmaps share one scale, white at the hottest spot of the bundle's own good reference frames or above.
    """
    pictures = [picture for path in paths for picture in _pictures(path)]
    if heatmaps is not None:
        heatmaps.mkdir(parents=True, exist_ok=True)
    with open_engine(read_bundle(bundle), engine_name, directory=default_state_directory()) as engine:
        hottest_good = float(engine.bundle.reference().heatmap.max())
        for picture in pictures:
            yield _score(engine, picture, heatmaps, hottest_good)


def _pictures(path: Path) -> list[Path]:
    if path.is_dir():
        found = list_images(path)
        if not found:
            raise Permanent(f"{path}: no pictures in this folder; wanted PNG, JPEG, TIFF or BMP files")
        return found
    if not path.exists():
        raise Permanent(f"{path}: no such file or folder")
    return [path]


def _score(engine: Engine, path: Path, heatmaps: Path | None, hottest_good: float) -> Scored:
    try:
        pixels = fit(read_image(path), engine.bundle.geometry)
    except ImageError as error:
        return Scored(path, error=str(error).removeprefix(f"{path}: "))
    scores = engine.score(pixels[np.newaxis])
    written = None
    if heatmaps is not None:
        written = heatmaps / f"{path.stem}.png"
        _write_heatmap(written, scores.heatmap[0], hottest_good, (pixels.shape[1], pixels.shape[0]))
    return Scored(path, float(scores.score[0]), written)


def _write_heatmap(path: Path, heat: NDArray[np.float32], full: float, size: tuple[int, int]) -> None:
    """Black at 0, white at twice what the good reference frames ever reach: the same on every picture."""
    level = np.clip(heat / max(2.0 * full, np.finfo(np.float32).tiny), 0.0, 1.0)
    large = cv2.resize((level * 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    if not cv2.imwrite(str(path), cv2.applyColorMap(large, cv2.COLORMAP_INFERNO)):
        raise Permanent(f"{path}: cannot be written; wanted a writable folder for heatmaps")
