"""The images of a camera that are kept for training: samples, confirmed false alarms, and confirmed defects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.review.folders import ReviewFolders
from agent.review.images import alarm_image, sample_images
from agent.review.journal import Journal
from agent.review.records import AlarmRecord, Judged

Kind = Literal["sample", "false_alarm", "defect"]


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One image on the disk."""

    id: str
    """The alarm's, or `sample-` and the name of its file."""
    kind: Kind
    path: Path
    bytes: int


def training_images(folders: ReviewFolders, journal: Journal, camera: str) -> Iterator[TrainingImage]:
    """Samples, oldest first, then judged alarms of defects, newest first; without those whose image is gone."""
    for path in sample_images(folders.images, camera):
        yield from _known(f"sample-{path.stem}", "sample", path)
    for judged in journal.alarms(camera=camera, judged=True):
        if judged.alarm.kind == "defect" and judged.judgement is not None:
            kind: Kind = "defect" if judged.judgement.verdict is Judged.TRUE else "false_alarm"
            yield from _known(judged.alarm.id, kind, stored_image(folders, judged.alarm))


def stored_image(folders: ReviewFolders, alarm: AlarmRecord) -> Path:
    """The source image of an alarm: the lossless one, else the 8-bit JPEG of the evidence, which need not exist."""
    kept = alarm_image(folders.images, alarm.camera, alarm.id)
    return kept if kept.is_file() else folders.evidence / alarm.camera / alarm.id / "frame.jpg"


def _known(identity: str, kind: Kind, path: Path) -> Iterator[TrainingImage]:
    try:
        yield TrainingImage(identity, kind, path, path.stat().st_size)
    except OSError:
        return
