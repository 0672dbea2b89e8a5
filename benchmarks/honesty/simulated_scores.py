"""Scores of the agent's own simulator by a bundle that ships, kept as arrays outside the repository."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.records import Image
from agent.inspection import training_scores
from agent.sources.simulator.schedule import SimulatedLine
from calibration import TrainingScores
from engines.bundles import Bundle, read_bundle
from engines.images import fit
from engines.runtime import Engine, open_engine

Scores = NDArray[np.float64]

FRAMES_PER_PART = 4
GOOD_PARTS, BAD_PARTS, CHANGED_PARTS = 2_000, 300, 400

# Specks of dust on the lens, as shares of width and height.
_SPECKS = np.random.default_rng(0).random((12, 2))


@dataclass(frozen=True, slots=True)
class SimulatedScores:
    """Scores of a simulated line: each part is shown by `FRAMES_PER_PART` frames."""

    mode: str
    """camera or xray."""
    good: Scores
    """Of good parts [N, 4]."""
    bad: Scores
    """Of bad parts [M, 4]."""
    changed: dict[str, Scores]
    """Of good parts [K, 4] after a change of the line, by its name in `CHANGES`."""


def simulated_scores(mode: str, work: Path) -> SimulatedScores:
    """Return the scores of a mode; the first call draws and scores 12,400 images, which takes minutes."""
    kept = work / f"simulated-{mode}.npz"
    if not kept.exists():
        bundle = shipped(mode)
        with open_engine(bundle, "onnxruntime", directory=work) as engine:
            arrays = {
                "good": _scores(engine, _line(mode, 0.0), range(GOOD_PARTS)),
                "bad": _scores(engine, _line(mode, 0.2), _bad_parts(_line(mode, 0.2))),
            }
            for name, change in CHANGES.items():
                arrays[name] = _scores(engine, _line(mode, 0.0), range(CHANGED_PARTS), change)
        np.savez(kept, **arrays)
    found = np.load(kept)
    return SimulatedScores(mode, found["good"], found["bad"], {name: found[name] for name in CHANGES})


def shipped(mode: str) -> Bundle:
    """The bundle that ships for this mode."""
    return read_bundle(Path(str(files("engines.bundles.shipped"))) / f"simulator-{mode}.bundle")


def shipped_training(mode: str) -> TrainingScores | None:
    """The scores that this bundle is known to give."""
    return training_scores(shipped(mode).manifest)


def _line(mode: str, defect_rate: float) -> SimulatedLine:
    return SimulatedLine(mode, seed=11, defect_rate=defect_rate, min_gap_parts=1)


def _bad_parts(line: SimulatedLine) -> list[int]:
    found: list[int] = []
    part = 0
    while len(found) < BAD_PARTS:
        if line.part(part).kind is not None:
            found.append(part)
        part += 1
    return found


def _scores(
    engine: Engine,
    line: SimulatedLine,
    parts: range | list[int],
    change: Callable[[Image], Image] = lambda image: image,
) -> Scores:
    scores = np.empty((len(parts), FRAMES_PER_PART))
    for row, part in enumerate(parts):
        images = (change(line.image(FRAMES_PER_PART * part + each)) for each in range(FRAMES_PER_PART))
        scores[row] = engine.score(np.stack([fit(image, engine.bundle.geometry) for image in images])).score
    return scores


def _less_light(image: Image) -> Image:
    return np.asarray(image * np.float32(0.9), image.dtype)


def _dust(image: Image) -> Image:
    """A dozen specks, each at its place in every image."""
    out, (height, width) = image.copy(), image.shape[:2]
    shade = (float(0.75 * image.mean()),) * image.shape[2]
    for y, x in _SPECKS:
        cv2.circle(out, (int(x * width), int(y * height)), max(1, int(0.008 * max(height, width))), shade, -1)
    return out


CHANGES: dict[str, Callable[[Image], Image]] = {"10 % less light": _less_light, "dust on the lens": _dust}
"""What happens to a line after its model was trained."""
