"""Records of a comparison: the images, each system's figures, and the scores that the report draws."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.bundles import Frames, Geometry
from engines.comparison.seed_mean import SeedMean
from engines.images import Content, Pose
from engines.training.good_frames import GoodFrames

# Rows of the heatmap strip; more do not fit on a screen with ten systems.
_STRIP_GOOD, _STRIP_BAD = 2, 4


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One system, trained with one seed."""

    seed: int
    auroc: float
    """Image level."""
    pixel_auroc: float | None
    """Over all pixels of all test images; None without masks."""
    pro: float | None
    """Per-region overlap up to a false-positive rate of 0.3; None without masks."""
    train_seconds: float
    """Duration of `fit`."""


@dataclass(frozen=True, slots=True)
class SystemResult:
    """One system's row of the table."""

    name: str
    title: str
    paper: str
    runs: tuple[SeedResult, ...]
    """One for each seed; a single one if training is deterministic."""
    milliseconds: float
    """Median time to score a single frame."""

    @property
    def auroc(self) -> SeedMean:
        """Image level, mean over the seeds."""
        return SeedMean.of([run.auroc for run in self.runs])

    @property
    def pixel_auroc(self) -> SeedMean | None:
        """Mean over the seeds; None without masks."""
        values = [run.pixel_auroc for run in self.runs if run.pixel_auroc is not None]
        return SeedMean.of(values) if values else None

    @property
    def pro(self) -> SeedMean | None:
        """Mean over the seeds; None without masks."""
        values = [run.pro for run in self.runs if run.pro is not None]
        return SeedMean.of(values) if values else None

    @property
    def train_seconds(self) -> float:
        """Mean over the seeds."""
        return float(np.mean([run.train_seconds for run in self.runs]))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The table of all systems, and the data behind it."""

    systems: tuple[SystemResult, ...]
    geometry: Geometry
    """Size and kind of the frames of all systems."""
    normal: int
    """Good frames trained on."""
    test_normal: int
    """Good frames scored."""
    abnormal: int
    """Bad frames scored."""
    minutes: float | None
    """Limit of each system's training time; None without one."""
    steps: int | None
    """Limit of each system's training steps; None without one."""
    masks_missing: int
    """Bad frames without a mask, excluded from the pixel figures."""
    skipped: tuple[str, ...]
    """One line for each file that could not be used."""

    def times_ganomaly(self, system: SystemResult) -> float | None:
        """Ratio of a system's scoring time to GANomaly's.

        To the paper's if it takes part in the comparison, else to ours; None if neither does.
        """
        by_name = {one.name: one for one in self.systems}
        ganomaly = by_name.get("ganomaly-reference", by_name.get("ganomaly"))
        return None if ganomaly is None else system.milliseconds / ganomaly.milliseconds

    def to_json(self) -> str:
        """Return the JSON document that `--json` prints."""
        document = dataclasses.asdict(self)
        for row, system in zip(document["systems"], self.systems, strict=True):
            row["times_ganomaly"] = self.times_ganomaly(system)
            row["train_seconds"] = system.train_seconds
            for name in ("auroc", "pixel_auroc", "pro"):
                mean = getattr(system, name)
                row[name] = None if mean is None else dataclasses.asdict(mean)
        return json.dumps(document, indent=2, allow_nan=False)


@dataclass(frozen=True, slots=True)
class FolderFrames:
    """Frames of one test folder, in memory at the common size."""

    paths: tuple[Path, ...]
    frames: Frames
    """[N, H, W, C]."""
    skipped: tuple[str, ...]
    contents: tuple[Content | None, ...] = ()
    """The part of each frame that shows the image; None for all of it."""
    poses: tuple[Pose | None, ...] = ()
    """How the part lies in each image; empty for a view without alignment."""

    def pose(self, index: int) -> Pose | None:
        """How the part lies in an image; None for a view without alignment."""
        return self.poses[index] if self.poses else None


@dataclass(frozen=True, slots=True)
class ComparisonData:
    """The images of a comparison, the same for all systems."""

    good: GoodFrames
    """To train on."""
    test_normal: FolderFrames
    abnormal: FolderFrames
    masks: tuple[Path | None, ...]
    """Mask file of each abnormal frame."""


@dataclass(slots=True)
class SystemScores:
    """Scores and heatmaps of one system, for the report."""

    by_seed: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=list)
    """Scores of good and of bad test frames, for each seed."""
    heatmaps: NDArray[np.float32] | None = None
    """[rows, h, w], first seed, in the order of `frames_in_strip`."""
    top: float = 0.0
    """Highest value in the heatmaps of good test frames, first seed: the one scale of this system's heatmaps."""


def frames_in_strip(data: ComparisonData) -> list[tuple[FolderFrames, int]]:
    """Choose the frames of the heatmap strip: good, then bad, evenly spaced in their folders whatever their scores."""
    rows = []
    for folder, count in ((data.test_normal, _STRIP_GOOD), (data.abnormal, _STRIP_BAD)):
        rows += [(folder, index) for index in evenly_spaced(len(folder.paths), count)]
    return rows


def evenly_spaced(count: int, most: int) -> list[int]:
    """Return at most `most` indices below `count`, evenly spaced.

    >>> evenly_spaced(10, 4), evenly_spaced(3, 4)
    ([1, 3, 6, 8], [0, 1, 2])
    """
    if count <= most:
        return list(range(count))
    return [int((index + 0.5) * count / most) for index in range(most)]
