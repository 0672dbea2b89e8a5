"""The images of a training: uploads and what the agent keeps, some of them held out for the comparison."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.commands import ask
from agent.core.errors import Permanent
from agent.core.training_folder import TrainingFolder

# Every fifth good image is not trained on: enough for a comparison, few enough for the training.
_HELD_OUT_EVERY = 5

# With fewer good images, all of them are trained on.
_LEAST_FOR_HOLDING_OUT = 20

_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(slots=True)
class JobImages:
    """Files of one training."""

    trained_on: list[Path] = field(default_factory=list)
    held_out: list[Path] = field(default_factory=list)
    """Good ones that are compared only."""
    defects: list[Path] = field(default_factory=list)
    """Confirmed bad ones, compared only."""


def gather(folder: TrainingFolder, request: Mapping[str, Any], report: Callable[[float, str], None]) -> JobImages:
    """Collect the chosen images. Raises InspectdError where the agent does not answer, OSError for a full disk."""
    good, bad = folder.run / "good", folder.run / "bad"
    good.mkdir()
    bad.mkdir()
    found = JobImages(defects=[])
    paths = [*_uploads(folder, request, good), *_kept(request, good, bad, found.defects, report)]
    if not paths:
        raise Permanent("no image was chosen; wanted images of good parts")
    for place, path in enumerate(sorted(paths, key=_by_content)):
        kept_out = len(paths) >= _LEAST_FOR_HOLDING_OUT and place % _HELD_OUT_EVERY == 0
        (found.held_out if kept_out else found.trained_on).append(path)
    return found


def _uploads(folder: TrainingFolder, request: Mapping[str, Any], good: Path) -> Iterator[Path]:
    if not request["uploads"] or not folder.uploads.is_dir():
        return
    left_out = set(request["left_out"])
    for path in sorted(folder.uploads.iterdir()):
        if path.name.startswith(".") or path.name in left_out:
            continue
        target = good / path.name
        # No second copy on the disk.
        os.link(path, target)
        yield target


def _kept(
    request: Mapping[str, Any], good: Path, bad: Path, defects: list[Path], report: Callable[[float, str], None]
) -> Iterator[Path]:
    """The images of the agent; defects are added to `defects`."""
    socket, camera = Path(request["control_socket"]), request["camera"]
    left_out, kinds = set(request["left_out"]), {*request["kinds"], "defect"}
    listed = [each for each in ask(socket, "review/images", camera)["images"] if each["kind"] in kinds]
    for place, each in enumerate(listed):
        if each["id"] in left_out:
            continue
        report(place / len(listed), f"image {place + 1} of {len(listed)}")
        try:
            answer = ask(socket, "review/image", camera, image=each["id"])
        except Permanent:
            # Replaced by a later sample, or deleted to make room, meanwhile.
            continue
        is_defect = each["kind"] == "defect"
        path = (bad if is_defect else good) / f"{each['id']}{_SUFFIXES[answer['media_type']]}"
        path.write_bytes(base64.b64decode(answer["base64"]))
        if is_defect:
            defects.append(path)
        else:
            yield path


def _by_content(path: Path) -> bytes:
    """An order that has nothing to do with time or name: neighbours in time are alike."""
    return hashlib.sha256(path.name.encode()).digest()
