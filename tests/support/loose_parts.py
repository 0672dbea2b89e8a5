"""Images of parts that lie anywhere and turned: a dark plate with a bar and two holes on a bright belt."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines.bundles import Alignment, Bundle, CropBox, View, read_bundle
from engines.images import AlignmentChoice, LimitChanges

HEIGHT, WIDTH = 120, 160
PLATE = CropBox(x=48, y=36, width=64, height=48)
"""Where the plate lies in the taught image; its middle is that of the image."""
SPOT = (60.0, 44.0)
"""Middle (x, y) of the spot of a bad plate, pixels of the taught image."""
SPOT_RADIUS = 4


@dataclass(frozen=True)
class Lies:
    """How a plate lies."""

    right: float = 0.0
    down: float = 0.0
    degrees: float = 0.0

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a place (x, y) of the taught image is, pixels from the outer edge of the first one."""
        turn = np.radians(self.degrees)
        across, along = x - WIDTH / 2, y - HEIGHT / 2
        return (
            WIDTH / 2 + self.right + across * np.cos(turn) - along * np.sin(turn),
            HEIGHT / 2 + self.down + across * np.sin(turn) + along * np.cos(turn),
        )


def anyhow(rng: np.random.Generator, pixels: float = 8.0, degrees: float = 10.0) -> Lies:
    """A plate shifted and turned by up to so much."""
    right, down, turn = rng.uniform(-1.0, 1.0, 3) * (pixels, pixels, degrees)
    return Lies(float(right), float(down), float(turn))


def empty(rng: np.random.Generator, *, kind: type[np.unsignedinteger] = np.uint8) -> np.ndarray:
    """The belt without a plate, [HEIGHT, WIDTH, 1]."""
    return _exposed(np.full((HEIGHT, WIDTH), 190.0), rng, kind)


def draw(
    lies: Lies, rng: np.random.Generator, *, bad: bool = False, kind: type[np.unsignedinteger] = np.uint8
) -> np.ndarray:
    """An image [HEIGHT, WIDTH, 1] of a plate; a bad one has a bright spot."""
    scene = np.full((HEIGHT, WIDTH), 190.0)
    x, y, right, bottom = PLATE.x + 4, PLATE.y + 4, PLATE.x + PLATE.width - 4, PLATE.y + PLATE.height - 4
    cv2.rectangle(scene, (x, y), (right, bottom), 70.0, cv2.FILLED)
    cv2.rectangle(scene, (x + 6, bottom - 12), (x + 34, bottom - 7), 150.0, cv2.FILLED)
    for hole, radius in (((right - 8, y + 8), 4), ((right - 12, bottom - 10), 3)):
        cv2.circle(scene, hole, radius, 20.0, cv2.FILLED)
    if bad:
        cv2.circle(scene, (round(SPOT[0] - 0.5), round(SPOT[1] - 0.5)), SPOT_RADIUS, 250.0, cv2.FILLED)
    matrix = cv2.getRotationMatrix2D(((WIDTH - 1) / 2, (HEIGHT - 1) / 2), -lies.degrees, 1.0)
    matrix[:, 2] += (lies.right, lies.down)
    turned = cv2.warpAffine(scene, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderValue=190.0)
    return _exposed(turned, rng, kind)


def taught(path: Path, least_match: float | None = None) -> AlignmentChoice:
    """Write the taught image to `path`; the choice of it, with limits of 16 pixels and 15 degrees."""
    assert cv2.imwrite(str(path), draw(Lies(), np.random.default_rng(99)))
    return AlignmentChoice(path, PLATE, LimitChanges(16.0, 15.0, least_match))


def write_loose_parts(folder: Path, count: int, *, seed: int, bad: bool = False, prefix: str = "") -> list[Lies]:
    """Write images of plates that lie anyhow; returns how."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    found = [anyhow(rng) for _ in range(count)]
    for index, lies in enumerate(found):
        assert cv2.imwrite(str(folder / f"{prefix}{index:03}.png"), draw(lies, rng, bad=bad))
    return found


def _exposed(scene: np.ndarray, rng: np.random.Generator, kind: type[np.unsignedinteger]) -> np.ndarray:
    full = np.iinfo(kind).max
    levels = (scene * rng.uniform(0.95, 1.05) + rng.normal(0.0, 3.0, scene.shape)) * (full / 255.0)
    return np.clip(np.rint(levels), 0, full).astype(kind)[:, :, None]


def aligned_copy(bundle: Bundle, directory: Path, alignment: Alignment, crop: CropBox = PLATE) -> Bundle:
    """A copy of a bundle below `directory` whose view has this alignment; its model has learned other parts."""
    path = directory / "aligned.bundle"
    shutil.copytree(bundle.path, path)
    document = json.loads((path / "manifest.json").read_text())
    view = View(lowest_aspect=0.1, highest_aspect=10.0, crop=crop, alignment=alignment)
    document["view"] = view.model_dump(mode="json")
    (path / "manifest.json").write_text(json.dumps(document))
    return read_bundle(path)
