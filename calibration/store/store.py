"""Calibrations on disk: all are kept, one is active, and the switch is atomic.

One directory per camera. `<id>.json` holds one calibration and is never rewritten. `active` is a symlink to the one in
force. `history.jsonl` records who switched to which calibration and when; lines are only appended. A file is written
under a temporary name, synced and renamed, then the directory is synced: after a crash at any moment, the directory
holds the old state or the new one, never a mixture.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.store.record import Calibration

_ACTIVE, _HISTORY = "active", "history.jsonl"

# Inside `Store`, `list` is the method.
_Ids = list[str]


@dataclass(frozen=True, slots=True)
class Switch:
    """One line of the history: from that time on this calibration was in force."""

    at: datetime
    """UTC."""
    id: str
    """Calibration that became active."""
    who: str
    """Name of the person or program that requested it."""
    event: str
    """"activated" or "rolled back"."""


class Store:
    """The calibrations of one camera, in one directory, written by one agent at a time."""

    def __init__(self, directory: Path | str) -> None:
        """Open the store; create the directory, with its parents, if it does not exist.

        Raises:
            CalibrationError: the directory cannot be created.
        """
        self.directory = Path(directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CalibrationError(f"calibrations: cannot create {self.directory}: {error.strerror}") from error

    @property
    def problem(self) -> str | None:
        """Why something is in memory only; never so in this class, which raises instead."""
        return None

    def write_unwritten(self) -> bool:
        """Write what is in memory only. Returns whether everything is on the disk now."""
        return True

    def save(self, calibration: Calibration) -> Path:
        """Write a calibration, without activating it, and return its file. An existing file is not changed.

        Raises:
            CalibrationError: the file cannot be written.
        """
        path = self._path(calibration.id)
        if not path.exists():
            self._guarded(lambda: self._write_new(path, calibration.to_json().encode()))
        return path

    def activate(self, id: str, *, who: str, at: datetime, event: str = "activated") -> Calibration:
        """Put a saved calibration in force, in one atomic step, and return it.

        Raises:
            CalibrationError: the calibration does not exist or cannot be read, or the switch cannot be written.
        """
        calibration = self.load(id)
        self._record(Switch(at.astimezone(timezone.utc), id, who, event))
        return calibration

    def active(self, *, bundle_sha256: str | None = None, engine: str | None = None) -> Calibration | None:
        """Return the calibration in force; None if there is none, or it is for another bundle or engine.

        Raises:
            CalibrationError: its file cannot be read; the text names the file.
        """
        id = self.active_id
        if id is None:
            return None
        calibration = self.load(id)
        return calibration if _is_for(calibration, bundle_sha256, engine) else None

    @property
    def active_id(self) -> str | None:
        """Id of the calibration in force; None if there is none."""
        try:
            return (self.directory / _ACTIVE).readlink().stem
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CalibrationError(f"{self.directory / _ACTIVE}: {error.strerror}, wanted a symlink") from error

    def load(self, id: str) -> Calibration:
        """Read one calibration. Raises CalibrationError, naming the file, if it is missing or corrupt."""
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
        """Return every switch, oldest first. Lines left incomplete by a power cut are skipped."""
        try:
            lines = (self.directory / _HISTORY).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [switch for line in lines if (switch := _switch(line)) is not None]

    def rollback(
        self, *, who: str, at: datetime, bundle_sha256: str | None = None, engine: str | None = None
    ) -> Calibration:
        """Put the previous calibration back in force, and return it; those for another bundle or engine are left out.

        A second rollback goes one further back, never forward again.

        Raises:
            CalibrationError: there is no previous calibration.
        """
        stack: _Ids = []
        for switch in self.history():
            if switch.event == "rolled back" and switch.id in stack:
                del stack[stack.index(switch.id) + 1 :]
            elif not stack or stack[-1] != switch.id:
                stack.append(switch.id)
        current = self.active_id
        before = stack[: stack.index(current)] if current in stack else stack
        known = bundle_sha256 is not None or engine is not None
        found = next((id for id in reversed(before) if _is_for(self.load(id), bundle_sha256, engine)), None)
        if found is None:
            same = " for this bundle and engine" if known else ""
            raise CalibrationError(
                f"nothing to roll back to: {self.directory} has no calibration{same} before {current}"
            )
        return self.activate(found, who=who, at=at, event="rolled back")

    def _path(self, id: str) -> Path:
        if not id or not all(letter.isalnum() or letter == "-" for letter in id):
            raise CalibrationError(f"calibration id: got {id!r}, wanted one from `calibration list`")
        return self.directory / f"{id}.json"

    def _record(self, switch: Switch) -> None:
        self._guarded(lambda: self._switch(switch))

    def _switch(self, switch: Switch) -> None:
        """Write the history first: after a power cut a line too many is harmless, an unrecorded switch is not."""
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
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = f"{error.strerror}; free some space there" if full else error.strerror
            raise CalibrationError(f"calibrations: cannot write in {self.directory}: {reason}") from error


def _is_for(calibration: Calibration, bundle_sha256: str | None, engine: str | None) -> bool:
    """Whether a calibration is for this bundle and engine; None: for any."""
    return bundle_sha256 in (None, calibration.bundle_sha256) and engine in (None, calibration.engine)


def _last_byte(handle: int, size: int) -> bytes:
    return os.pread(handle, 1, size - 1)


def _switch(line: str) -> Switch | None:
    try:
        data = json.loads(line)
        return Switch(datetime.fromisoformat(data["at"]), data["id"], data["who"], data["event"])
    except (ValueError, TypeError, KeyError):
        return None
