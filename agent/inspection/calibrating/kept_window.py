"""The window of a camera on disk, so that a restart does not lose hours of good parts or an answer that is awaited.

One file holds the whole window. It is written under a temporary name, synced and renamed: after a crash at any moment
there is the old state or the new one. A thread writes it, so that a slow disk does not hold up inspection.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agent.core.durable_file import disk_reason, replace_file
from agent.inspection.calibration_plan import CalibrationPlan, plan_of
from agent.settings import CameraSettings
from calibration import Arrays, Budget, FalseAlarmLevel, FitFinding, Misfit, Rule, from_document, to_document

log = logging.getLogger(__name__)

_SCHEMA = "inspectd.window/1"
_HEADER = "header"

# A window is written at most so often, so that flash memory wears little: after a twentieth of the time that it has
# been filled for, but after at least two seconds, and one for each MB. A kill costs the images since then.
_SHARE_OF_TIME, _LEAST_SECONDS, _BYTES_PER_SECOND = 0.05, 2.0, 1e6


@dataclass(frozen=True, slots=True)
class KeptWindow:
    """A window that is not finished, that waits for a person, or that a person may still look at."""

    calibrations: int
    """Calibrations that the camera had when it was started."""
    plan: CalibrationPlan
    """By which its calibration is to be made."""
    images: int
    """Images in it."""
    arrays: Arrays
    """Its content."""
    finding: FitFinding | None = None
    """Why it waits for a person; None: it does not."""
    calibration: str | None = None
    """Id of the calibration that was made from it; None: none was made yet."""

    @property
    def full(self) -> bool:
        """Nothing is added to it any more."""
        return self.finding is not None or self.calibration is not None


def shape_of(camera: CameraSettings, bundle_sha256: str, engine: str) -> dict[str, str]:
    """Return what shapes the windows of a camera, by the words for it: a window of another shape is discarded."""
    source = json.dumps(camera.source.model_dump(mode="json"), sort_keys=True, default=str)
    return {
        "model": bundle_sha256,
        "engine": engine,
        # The address of a camera may contain a password.
        "source": hashlib.sha256(source.encode()).hexdigest(),
        "crop": str(camera.crop),
        "parts": str(camera.parts),
        "calibration settings": json.dumps(_plan_document(plan_of(camera)), sort_keys=True),
    }


class WindowFile:
    """The file of one camera's window. One thread calls it."""

    def __init__(self, path: Path, camera: str, shape: Mapping[str, str], *, all_frames: bool = True) -> None:
        """Args:
        path: the file; its directory exists when something is written.
        camera: its name, for the log.
        shape: see `shape_of`.
        all_frames: the source does not deliver frames again that it delivered before the restart. False: a window that
            is not full is not kept.
        """
        self.all_frames = all_frames
        self._path = path
        self._camera = camera
        self._shape = dict(shape)
        self._lock = threading.Lock()
        self._next: KeptWindow | None = None
        self._writer: threading.Thread | None = None
        self._begun = self._written = time.monotonic()
        self._size = 0
        self._failed = False

    def read(self, calibrations: int) -> KeptWindow | None:
        """The window of before the restart; None where there is none, or it is discarded, which is logged.

        Args:
            calibrations: that the camera has now; with more than at its start, the window has been finished.
        """
        try:
            with np.load(self._path, allow_pickle=False) as stored:
                arrays: Arrays = dict(stored)
            kept, shape = _unpacked(arrays)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            self.discard_unreadable(error)
            return None
        changed = [name for name, value in self._shape.items() if shape.get(name) != value]
        if kept.calibration is not None:
            if changed:
                self.discard()
            return None if changed else kept
        if calibrations > kept.calibrations:
            self.discard()
            return None
        if changed:
            self._discard_with(f"another {' and another '.join(changed)} since then", kept.images)
            return None
        return kept

    def begin(self) -> None:
        """A new window is started: the one on the disk no longer counts."""
        self.discard()
        self._begun = self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the window should be written now."""
        now = time.monotonic()
        pause = max(_LEAST_SECONDS, self._size / _BYTES_PER_SECOND, _SHARE_OF_TIME * (now - self._begun))
        return now - self._written >= pause

    def write_soon(self, kept: KeptWindow) -> None:
        """Write a window on a thread of its own; of several that wait, the latest."""
        self._written = time.monotonic()
        with self._lock:
            self._next = kept
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name=f"window-{self._camera}", daemon=True)
                self._writer.start()

    def write(self, kept: KeptWindow) -> None:
        """Write a window, and return when it is on the disk."""
        self.write_soon(kept)
        writer = self._writer
        if writer is not None:
            writer.join()

    def discard(self) -> None:
        """Remove the file. Nothing is left of it even where it is being written."""
        with self._lock:
            self._next = None
            try:
                self._path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("camera %s: cannot remove %s: %s", self._camera, self._path, error.strerror)
            writing = self._writer
        if writing is not None:
            writing.join()
            self._path.unlink(missing_ok=True)

    def discard_unreadable(self, error: Exception) -> None:
        """Remove the file, since its content cannot be used."""
        self._discard_with(f"the file cannot be read ({type(error).__name__}: {error})")

    def _discard_with(self, reason: str, images: int | None = None) -> None:
        size = "" if images is None else f" of {images:,} images"
        log.warning("camera %s: the window%s from before the restart is discarded: %s", self._camera, size, reason)
        self.discard()

    def _write_all(self) -> None:
        while True:
            with self._lock:
                kept, self._next = self._next, None
                if kept is None:
                    self._writer = None
                    return
            try:
                data = _packed(kept, self._shape)
                self._size = len(data)
                replace_file(self._path, data)
                self._failed = False
            except OSError as error:
                if not self._failed:
                    reason = disk_reason(error, self._path.parent)
                    log.warning(
                        "camera %s: the calibration window is not kept in %s: %s", self._camera, self._path, reason
                    )
                self._failed = True


def _packed(kept: KeptWindow, shape: Mapping[str, str]) -> bytes:
    finding = kept.finding
    header = {
        "schema": _SCHEMA,
        "shape": dict(shape),
        "calibrations": kept.calibrations,
        "images": kept.images,
        "plan": _plan_document(kept.plan),
        "finding": None if finding is None else {**asdict(finding), "misfit": finding.misfit.value},
        "calibration": kept.calibration,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **{_HEADER: from_document(header), **kept.arrays})  # type: ignore[arg-type]
    return buffer.getvalue()


def _unpacked(arrays: Arrays) -> tuple[KeptWindow, dict[str, str]]:
    header = to_document(arrays.pop(_HEADER))
    if header["schema"] != _SCHEMA:
        raise ValueError(f"schema: got {header['schema']!r}, wanted {_SCHEMA!r}")
    finding = header["finding"]
    if finding is not None:
        finding = FitFinding(Misfit(finding["misfit"]), finding["reason"], tuple(finding["suspects"]))
    counts = int(header["calibrations"]), int(header["images"])
    calibration = header.get("calibration")
    return KeptWindow(counts[0], _plan(header["plan"]), counts[1], arrays, finding, calibration), header["shape"]


def _plan_document(plan: CalibrationPlan) -> dict[str, Any]:
    return asdict(plan)


def _plan(document: dict[str, Any]) -> CalibrationPlan:
    level = document["false_alarms"]
    plan = CalibrationPlan(**document)
    return replace(
        plan,
        budget=Budget(**document["budget"]),
        rule=Rule(**document["rule"]),
        false_alarms=None if level is None else FalseAlarmLevel(**level),
    )
