"""What a comparison knows: the images, each system's figures, and what the pictures need of it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.bundles import Frames, Geometry
from engines.comparison.spread import Spread
from engines.training.good_frames import GoodFrames

# Rows of the strip; more do not fit on a screen beside ten systems.
_SHOWN_GOOD, _SHOWN_BAD = 2, 4


@dataclass(frozen=True, slots=True)
class Run:
    """One system, learned with one seed."""

    seed: int
    auroc: float
    """Image level."""
    pixel_auroc: float | None
    """Over all pixels of all test images; None without masks, as is the next."""
    pro: float | None
    """Per-region overlap up to a false-positive rate of 0.3."""
    train_seconds: float
    """From frames to a system that scores."""


@dataclass(frozen=True, slots=True)
class SystemResult:
    """One system's row of the table."""

    name: str
    title: str
    paper: str
    runs: tuple[Run, ...]
    """One for each seed; a single one where learning is exact."""
    milliseconds: float
    """Time to score one frame by itself, median."""

    @property
    def auroc(self) -> Spread:
        """Image level, over the seeds."""
        return Spread.of([run.auroc for run in self.runs])

    @property
    def pixel_auroc(self) -> Spread | None:
        """Over the seeds; None without masks."""
        values = [run.pixel_auroc for run in self.runs if run.pixel_auroc is not None]
        return Spread.of(values) if values else None

    @property
    def pro(self) -> Spread | None:
        """Over the seeds; None without masks."""
        values = [run.pro for run in self.runs if run.pro is not None]
        return Spread.of(values) if values else None

    @property
    def train_seconds(self) -> float:
        """Mean over the seeds."""
        return float(np.mean([run.train_seconds for run in self.runs]))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The table, and what it rests on."""

    systems: tuple[SystemResult, ...]
    geometry: Geometry
    """Size and kind of the frames that all systems see."""
    normal: int
    """Good frames that are learned from."""
    test_normal: int
    """Good frames that are scored."""
    abnormal: int
    """Bad frames that are scored."""
    minutes: float | None
    """Time that each system may learn."""
    steps: int | None
    """Steps that each system may learn."""
    masks_missing: int
    """Bad frames without a mask, left out of the pixel figures."""
    skipped: tuple[str, ...]
    """One line for each file that could not be used."""

    def times_ganomaly(self, system: SystemResult) -> float | None:
        """How many times longer than GANomaly a system takes for a frame: than the paper's where it is compared, else
        than ours; None where neither is."""
        by_name = {one.name: one for one in self.systems}
        yardstick = by_name.get("ganomaly-reference", by_name.get("ganomaly"))
        return None if yardstick is None else system.milliseconds / yardstick.milliseconds

    def to_json(self) -> str:
        """As `--json` prints it."""
        document = dataclasses.asdict(self)
        for row, system in zip(document["systems"], self.systems, strict=True):
            row["times_ganomaly"] = self.times_ganomaly(system)
            row["train_seconds"] = system.train_seconds
            for name in ("auroc", "pixel_auroc", "pro"):
                spread = getattr(system, name)
                row[name] = None if spread is None else dataclasses.asdict(spread)
        return json.dumps(document, indent=2, allow_nan=False)


@dataclass(frozen=True, slots=True)
class FolderFrames:
    """Frames of one test folder, in memory at the common size."""

    paths: tuple[Path, ...]
    frames: Frames
    """[N, H, W, C]."""
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sets:
    """All that the systems see, and the truth about it."""

    good: GoodFrames
    test_normal: FolderFrames
    abnormal: FolderFrames
    masks: tuple[Path | None, ...]
    """Mask file of each abnormal frame."""


@dataclass(slots=True)
class Looks:
    """What the pictures need of one system."""

    scores: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=list)
    """Of good and of bad test frames, for each seed."""
    heat: NDArray[np.float32] | None = None
    """[rows, h, w], first seed, in the strip's order: good, then bad."""
    top: float = 0.0
    """The hottest place in all good test frames, first seed: the one scale of this system's heat."""


def shown(sets: Sets) -> list[tuple[FolderFrames, int]]:
    """The frames of the strip: good, then bad, at even distances through the folders, whatever their scores."""
    rows = []
    for images, count in ((sets.test_normal, _SHOWN_GOOD), (sets.abnormal, _SHOWN_BAD)):
        rows += [(images, index) for index in evenly(len(images.paths), count)]
    return rows


def evenly(count: int, most: int) -> list[int]:
    """At most so many indices below `count`, at even distances.

    >>> evenly(10, 4), evenly(3, 4)
    ([1, 3, 6, 8], [0, 1, 2])
    """
    if count <= most:
        return list(range(count))
    return [int((index + 0.5) * count / most) for index in range(most)]
