"""Judged alarms and samples as folders of images: `good` and `bad`, for `train`, `evaluate` and `compare`."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.errors import Permanent
from agent.messages import utc_text
from agent.review.folders import ReviewFolders
from agent.review.images import sample_images
from agent.review.journal import Journal
from agent.review.kept_for_training import stored_image
from agent.review.records import Judged, JudgedAlarm

GOOD, BAD, LIST = "good", "bad", "alarms.csv"

_COLUMNS = ("file", "alarm", "camera", "raised_at", "verdict", "kind", "by", "note", "score", "origin")


@dataclass(slots=True)
class Exported:
    """What was written, and what could not be."""

    directory: Path
    good: int = 0
    """Images in `good`: false alarms and samples."""
    samples: int = 0
    """Those of them that are samples of frames without an alarm."""
    bad: int = 0
    """Images in `bad`: defects that a person has confirmed."""
    missing: list[str] = field(default_factory=list)
    """Ids of judged alarms whose image has been deleted already, because of the limits on disk space."""
    cropped: list[str] = field(default_factory=list)
    """Cameras that inspect only a part of these images."""
    eight_bit: int = 0
    """Images that are 8-bit JPEGs of the evidence, because the lossless ones have been deleted."""


def export_images(
    folders: ReviewFolders, journal: Journal, directory: Path, *, camera: str | None = None, samples: bool = True
) -> Exported:
    """Write the images of judged alarms and the samples into a new folder, with a list of the alarms.

    Args:
        folders: of the review and the evidence.
        journal: the alarms.
        directory: to write to; made where missing, else empty.
        camera: of this camera only.
        samples: with the sample of frames that raised no alarm.

    Raises Permanent where the folder holds files, or cannot be written.
    """
    done = Exported(directory)
    judged = journal.alarms(camera=camera, judged=True)
    defects = [known for known in judged if known.alarm.kind == "defect"]
    try:
        _prepare(directory)
        rows = [row for known in reversed(defects) if (row := _copy_alarm(folders, known, done)) is not None]
        if samples:
            _copy_samples(folders.images, camera, done)
        (directory / LIST).write_text(_table(rows), encoding="utf-8")
    except OSError as error:
        raise Permanent(f"{error.filename or directory}: {error.strerror}") from None
    done.cropped = sorted({known.alarm.camera for known in judged if known.alarm.crop is not None})
    return done


def _prepare(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise Permanent(f"{directory}: got a file, wanted a new or an empty folder")
    if directory.is_dir() and any(directory.iterdir()):
        raise Permanent(f"{directory}: got a folder with files in it, wanted a new or an empty one")
    for name in (GOOD, BAD):
        (directory / name).mkdir(parents=True, exist_ok=True)


def _copy_alarm(folders: ReviewFolders, known: JudgedAlarm, done: Exported) -> dict[str, object] | None:
    """Copy the image of a judged alarm; returns its row in the list, None where the image is gone."""
    alarm, judgement = known.alarm, known.judgement
    assert judgement is not None
    source = stored_image(folders, alarm)
    folder = BAD if judgement.verdict is Judged.TRUE else GOOD
    name = f"{folder}/{alarm.camera}-{alarm.id}{source.suffix}"
    try:
        shutil.copyfile(source, done.directory / name)
    except FileNotFoundError:
        done.missing.append(alarm.id)
        return None
    done.good += folder == GOOD
    done.bad += folder == BAD
    done.eight_bit += source.suffix == ".jpg"
    return {
        "file": name,
        "alarm": alarm.id,
        "camera": alarm.camera,
        "raised_at": utc_text(alarm.raised_at),
        "verdict": judgement.verdict.value,
        "kind": judgement.defect,
        "by": judgement.by,
        "note": judgement.note,
        "score": alarm.score,
        "origin": alarm.origin,
    }


def _copy_samples(images: Path, camera: str | None, done: Exported) -> None:
    for path in sample_images(images, camera):
        try:
            shutil.copyfile(path, done.directory / GOOD / f"{path.parent.name}-sample-{path.name}")
        except FileNotFoundError:
            # Replaced by a later frame meanwhile.
            continue
        done.samples += 1
    done.good += done.samples


def _table(rows: list[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
