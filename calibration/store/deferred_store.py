"""A store that a full disk cannot stop: what cannot be written stays in memory, is in force, and is written later."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.store.record import Calibration
from calibration.store.store import Store, Switch

# Inside the class, `list` is the method.
_Switches = list[Switch]


class DeferredStore(Store):
    """Like `Store`, but a write that fails is tried again by `write_unwritten`. Any thread may call.

    A window of good frames may take hours to fill, and cannot be repeated on other parts: it must not be lost because
    the disk is full when it ends. What is in memory only is lost with the process.
    """

    def __init__(self, directory: Path | str) -> None:
        """As `Store`."""
        super().__init__(directory)
        self._lock = threading.RLock()
        self._unsaved: dict[str, Calibration] = {}
        self._unrecorded: _Switches = []
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why something is in memory only; None if everything is on the disk."""
        return self._problem

    def save(self, calibration: Calibration) -> Path:
        """Write a calibration now or later, without activating it, and return its file."""
        with self._lock:
            self._unsaved[calibration.id] = calibration
            self.write_unwritten()
        return self._path(calibration.id)

    def activate(self, id: str, *, who: str, at: datetime, event: str = "activated") -> Calibration:
        """Put a calibration in force; the switch is written now or later.

        Raises:
            CalibrationError: the calibration does not exist or cannot be read.
        """
        with self._lock:
            calibration = self.load(id)
            self._unrecorded.append(Switch(at.astimezone(timezone.utc), id, who, event))
            self.write_unwritten()
        return calibration

    def write_unwritten(self) -> bool:
        """Write what is in memory only, in its order. Returns whether everything is on the disk now."""
        with self._lock:
            try:
                for id, calibration in list(self._unsaved.items()):
                    super().save(calibration)
                    del self._unsaved[id]
                while self._unrecorded:
                    self._record(self._unrecorded[0])
                    del self._unrecorded[0]
            except CalibrationError as error:
                self._problem = str(error)
            else:
                self._problem = None
            return self._problem is None

    @property
    def active_id(self) -> str | None:
        """Id of the calibration in force; None if there is none."""
        with self._lock:
            return self._unrecorded[-1].id if self._unrecorded else super().active_id

    def load(self, id: str) -> Calibration:
        """Return one calibration. Raises CalibrationError, naming the file, if it is missing or corrupt."""
        with self._lock:
            return self._unsaved.get(id) or super().load(id)

    def history(self) -> Sequence[Switch]:
        """Return every switch, oldest first."""
        with self._lock:
            return [*super().history(), *self._unrecorded]

    def list(self) -> Sequence[str]:
        """Return the ids of all calibrations, oldest first."""
        with self._lock:
            return sorted({*super().list(), *self._unsaved})
