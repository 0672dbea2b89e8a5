"""Calibrations on disk: every one kept, one active, the switch atomic.

One directory per camera. `<id>.json` holds one calibration and is never rewritten. `active` is a symlink to the one in
force. `history.jsonl` says who switched to what and when; its lines are appended and never changed. A file is written
under a temporary name, synced, linked to its own name, and the directory synced: killed at any moment, the directory
holds the old state or the new one, never half of either.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.record import Calibration

_ACTIVE, _HISTORY = "active", "history.jsonl"

# Inside `Store`, `list` is the method.
Stack = list[str]


@dataclass(frozen=True, slots=True)
class Switch:
    """One line of the history: from then on this calibration was in force."""

    at: datetime
    """UTC."""
    id: str
    """Calibration that was made active."""
    who: str
    """Who asked for it."""
    event: str
    """"activated" or "rolled back"."""


class Store:
    """The calibrations of one camera, in one directory, written by one agent at a time."""

    def __init__(self, directory: Path | str) -> None:
        """Open, and make the directory where it is missing (its parents too)."""
        self.directory = Path(directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CalibrationError(f"calibrations: cannot make {self.directory}: {error.strerror}") from error

    def save(self, calibration: Calibration) -> Path:
        """Write a calibration and return its file. It is not active yet. One that is there already is left as it is.

        Raises:
            CalibrationError: where the disk does not take it.
        """
        path = self._path(calibration.id)
        if not path.exists():
            self._guarded(lambda: self._write_new(path, calibration.to_json().encode()))
        return path

    def activate(self, id: str, *, who: str, at: datetime, event: str = "activated") -> Calibration:
        """Put a saved calibration in force, in one atomic step, and return it.

        Raises:
            CalibrationError: where there is no such calibration, it cannot be read, or the disk does not take it.
        """
        calibration = self.load(id)
        self._guarded(lambda: self._switch(Switch(at.astimezone(timezone.utc), id, who, event)))
        return calibration

    def active(self, *, bundle_sha256: str | None = None, engine: str | None = None) -> Calibration | None:
        """Return the calibration in force; None where there is none, or it is for another bundle or engine.

        Raises:
            CalibrationError: where its file cannot be read; the text names the file.
        """
        id = self.active_id
        if id is None:
            return None
        calibration = self.load(id)
        matches = bundle_sha256 in (None, calibration.bundle_sha256) and engine in (None, calibration.engine)
        return calibration if matches else None

    @property
    def active_id(self) -> str | None:
        """Id of the calibration in force; None where there is none."""
        try:
            return (self.directory / _ACTIVE).readlink().stem
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CalibrationError(f"{self.directory / _ACTIVE}: {error.strerror}, wanted a symlink") from error

    def load(self, id: str) -> Calibration:
        """Read one calibration. Raises CalibrationError, naming the file, where it is missing or corrupt."""
        path = self._path(id)
        try:
            calibration = Calibration.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise CalibrationError(f"no calibration {id!r} in {self.directory}") from error
        except OSError as error:
            raise CalibrationError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise CalibrationError(f"{path}: {error}") from error
        if calibration.id != id:
            raise CalibrationError(f"{path}: holds calibration {calibration.id}, wanted {id}")
        return calibration

    def list(self) -> Sequence[str]:
        """Return the ids of all calibrations, oldest first."""
        return sorted(path.stem for path in self.directory.glob("*.json"))

    def history(self) -> Sequence[Switch]:
        """Return every switch, oldest first. A line that a power cut tore is passed over."""
        try:
            lines = (self.directory / _HISTORY).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [switch for line in lines if (switch := _switch(line)) is not None]

    def rollback(self, *, who: str, at: datetime) -> Calibration:
        """Put the calibration that was in force before this one back in force, and return it.

        A rollback of a rollback goes one further back; it never goes forward again.

        Raises:
            CalibrationError: where there was none before.
        """
        stack: Stack = []
        for switch in self.history():
            if switch.event == "rolled back" and switch.id in stack:
                del stack[stack.index(switch.id) + 1 :]
            elif not stack or stack[-1] != switch.id:
                stack.append(switch.id)
        current = self.active_id
        before = stack[: stack.index(current)] if current in stack else stack
        if not before:
            raise CalibrationError(f"nothing to roll back to: {self.directory} has no calibration before {current}")
        return self.activate(before[-1], who=who, at=at, event="rolled back")

    def _path(self, id: str) -> Path:
        if not id or not all(letter.isalnum() or letter == "-" for letter in id):
            raise CalibrationError(f"calibration id: got {id!r}, wanted one that `calibration list` shows")
        return self.directory / f"{id}.json"

    def _switch(self, switch: Switch) -> None:
        """History first: a line too many after a power cut is harmless, a switch that nobody wrote down is not."""
        line = {"at": switch.at.isoformat(), "id": switch.id, "who": switch.who, "event": switch.event}
        with (self.directory / _HISTORY).open("a+b") as log:
            if log.tell() and _last_byte(log.fileno(), log.tell()) != b"\n":
                log.write(b"\n")
            log.write(json.dumps(line).encode() + b"\n")
            log.flush()
            os.fsync(log.fileno())
        fresh = self.directory / f".{_ACTIVE}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"{switch.id}.json")
        fresh.replace(self.directory / _ACTIVE)
        self._sync_directory()

    def _write_new(self, path: Path, data: bytes) -> None:
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        self._sync_directory()

    def _sync_directory(self) -> None:
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _guarded(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            raise CalibrationError(f"calibrations: cannot write in {self.directory}: {error.strerror}") from error


def _last_byte(handle: int, size: int) -> bytes:
    return os.pread(handle, 1, size - 1)


def _switch(line: str) -> Switch | None:
    try:
        data = json.loads(line)
        return Switch(datetime.fromisoformat(data["at"]), data["id"], data["who"], data["event"])
    except (ValueError, TypeError, KeyError):
        return None
