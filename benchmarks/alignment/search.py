"""Accuracy and time of the search for parts: simulated parts whose place is known, and solar cells that are moved."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from agent.sources.simulator import SimulatedLine
from agent.sources.simulator.schedule import VIBRATION
from engines.bundles import CropBox
from engines.errors import PartNotFoundError
from engines.images import AlignmentChoice, Image, find_part, list_images, read_image

# The plate and the casting with a margin, pixels of a frame of 512.
REGIONS = {"camera": CropBox(x=66, y=94, width=380, height=324), "xray": CropBox(x=52, y=78, width=408, height=356)}

# Solar cells are moved on a background of this gray value, with a border of a fifth of their side.
_BACKGROUND, _SHARE, _DEGREES = 60, 0.05, 10.0

Shown = tuple[Image, np.ndarray]
"""An image, and the map [2, 3] from places in the taught image to places in it."""


@dataclass(frozen=True)
class Found:
    """The figures of one set."""

    name: str
    images: int
    found: int
    median_pixels: float
    highest_pixels: float
    median_milliseconds: float
    least_milliseconds: float
    lowest_match: float

    def row(self) -> str:
        """A row of the table."""
        return (
            f"| {self.name} | {self.found} of {self.images} | {self.median_pixels:.2f} | {self.highest_pixels:.2f} "
            f"| {self.median_milliseconds:.1f} | {self.least_milliseconds:.1f} | {self.lowest_match:.2f} |"
        )


def simulated(mode: str, count: int, *, loose: bool) -> Iterator[Shown]:
    """Good parts of the simulated line; the first lies as the guides hold it, and is the taught one."""
    straight = SimulatedLine(mode, seed=5, defect_rate=0.0, frames_per_part=1)
    lines = [straight, *[SimulatedLine(mode, seed=5, defect_rate=0.0, frames_per_part=1, loose=loose)] * count]
    first = np.linalg.inv(_placed(straight, 0))
    for index, line in enumerate(lines):
        yield line.image(index), (_placed(line, index) @ first)[:2]


def solar(folder: Path, count: int) -> Iterator[Shown]:
    """Solar cells, which all differ, shifted and turned; the first is the taught one. Cells are centred by hand."""
    rng = np.random.default_rng(1)
    for index, path in enumerate(list_images(folder)[: count + 1]):
        cell = read_image(path)
        border = cell.shape[0] // 5
        image = cv2.copyMakeBorder(cell, *[border] * 4, cv2.BORDER_CONSTANT, value=[_BACKGROUND] * 3)
        side = image.shape[0]
        x, y, turn = (0.0, 0.0, 0.0) if index == 0 else rng.uniform(-1.0, 1.0, 3)
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), -_DEGREES * turn, 1.0)
        matrix[:, 2] += (_SHARE * side * x, _SHARE * side * y)
        moved = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC, borderValue=[_BACKGROUND] * 3)
        yield moved.reshape(side, side, -1), _of_places(matrix)


def measure(name: str, shown: Iterator[Shown], region: CropBox, work: Path) -> Found:
    """Teach the first image and look for the region in the others."""
    taught, _ = next(shown)
    file = work / f"{name.replace(' ', '-')}.png"
    cv2.imwrite(str(file), taught)
    height, width = taught.shape[:2]
    alignment = AlignmentChoice(file, region).for_size(height, width)
    whole = CropBox(x=0, y=0, width=width, height=height)
    errors, milliseconds, matches = [], [], []
    for image, true in shown:
        started = time.perf_counter()
        try:
            pose = find_part(image, alignment)
        except PartNotFoundError:
            continue
        finally:
            milliseconds.append(1e3 * (time.perf_counter() - started))
        errors.append(_corner_error(pose.to_source(whole), true, region))
        matches.append(pose.match)
    return Found(
        name,
        len(milliseconds),
        len(errors),
        float(np.median(errors)),
        max(errors),
        float(np.median(milliseconds)),
        min(milliseconds),
        min(matches),
    )


def _placed(line: SimulatedLine, index: int) -> np.ndarray:
    """The map [3, 3] from places on the part to places in frame `index`."""
    pose, size = line.part(index).pose, line.size
    matrix = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), pose.degrees, 1.0)
    matrix[:, 2] += np.array((pose.x, pose.y)) + line._rng(VIBRATION, index).normal(0.0, _vibration(line), 2)
    return np.vstack([_of_places(matrix), [0.0, 0.0, 1.0]])


def _vibration(line: SimulatedLine) -> float:
    return line._scene.vibration_pixels


def _of_places(matrix: np.ndarray) -> np.ndarray:
    """A map of the middles of pixels, as OpenCV has it, as a map of places: pixel i reaches from i to i + 1."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] - matrix[:, :2] @ (0.5, 0.5) + 0.5])


def _corner_error(found: np.ndarray, true: np.ndarray, region: CropBox) -> float:
    """Mean distance of the region's corners from where they are, pixels."""
    corners = [(region.x + dx, region.y + dy, 1.0) for dx in (0, region.width) for dy in (0, region.height)]
    return float(np.mean([np.hypot(*(found @ corner - true @ corner)) for corner in corners]))
