"""Images of a small part: a disc on a plate, jittered and noisy, with a scratch if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def draw_part(rng: np.random.Generator, *, depth: int = 8, scratch: bool = False, side: int = 40) -> NDArray[Any]:
    """Draw a disc on a plate, jittered and noisy, [side, side] in 8 or 16 bits; with a bright scratch if wanted."""
    image = np.full((side, side), 90.0, np.float32)
    centre = (side // 2 + int(rng.integers(-2, 3)), side // 2 + int(rng.integers(-2, 3)))
    cv2.circle(image, centre, side // 4, 170.0, -1)
    if scratch:
        cv2.line(image, (4, int(rng.integers(6, side - 6))), (side - 5, int(rng.integers(6, side - 6))), 250.0, 2)
    image += rng.normal(0, 4, image.shape)
    if depth == 16:
        return (image.clip(0, 255) * 100 + 4000).astype(np.uint16)
    return image.clip(0, 255).astype(np.uint8)


def write_parts(folder: Path, count: int, *, seed: int = 0, depth: int = 8, scratch: bool = False) -> Path:
    """Write `count` images of the part as PNG files into a new folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        assert cv2.imwrite(str(folder / f"{index:03}.png"), draw_part(rng, depth=depth, scratch=scratch))
    return folder
