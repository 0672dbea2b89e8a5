"""Simulated images as a folder of files, in the layout of training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.durable_file import write_whole
from agent.core.errors import Permanent
from agent.core.records import Image
from agent.sources.simulator.schedule import SCENES, SimulatedLine

# Share of the good parts that go to training; the others go to testing.
TRAIN_SHARE = 0.8


def write_folder(
    out_dir: Path,
    mode: str,
    count: int,
    defect_rate: float = 0.2,
    seed: int = 0,
    *,
    size: int = 512,
    train_share: float = TRAIN_SHARE,
    loose: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, int]:
    """Write `count` images, one per part, as PNG (8-bit camera, 16-bit xray); returns the number in each folder.

    Good parts go to `train/good` and `test/good` (the first eight of every ten to training, or as `train_share` sets),
    bad parts to `test/defect`, their masks (uint8, 0 and 255) under the same name to `test/masks`. The name includes
    the kind of defect: `000012-scratch.png`. `loose`: as in `SimulatedLine`. `progress(done, total)`: after each image.

    Raises `Permanent` for an unknown mode, and if the folder cannot be written.
    """
    line = SimulatedLine(
        _known(mode), seed=seed, size=size, defect_rate=defect_rate, frames_per_part=1, min_gap_parts=0, loose=loose
    )
    written = {"train/good": 0, "test/good": 0, "test/defect": 0, "test/masks": 0}
    for folder in written:
        _make_folder(out_dir / folder)
    good = 0
    for index in range(count):
        image, truth = line.render(index)
        if truth.kind is None:
            folder, name = ("train/good" if good % 10 < 10 * train_share else "test/good"), f"{index:06d}.png"
            good += 1
        else:
            folder, name = "test/defect", f"{index:06d}-{truth.kind}.png"
            _write(out_dir / "test/masks" / name, line.mask(index))
            written["test/masks"] += 1
        _write(out_dir / folder / name, image)
        written[folder] += 1
        progress(index + 1, count)
    return written


def _known(mode: str) -> str:
    if mode not in SCENES:
        raise Permanent(f"mode: got {mode!r}, wanted {' or '.join(SCENES)}")
    return mode


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Permanent(f"cannot make folder {path}: {error.strerror}") from error


def _write(path: Path, image: Image | NDArray[np.uint8]) -> None:
    encoded, data = cv2.imencode(".png", image)
    if not encoded:
        raise Permanent(f"cannot encode {image.shape} {image.dtype} as PNG for {path}")
    write_whole(path, data.tobytes())
