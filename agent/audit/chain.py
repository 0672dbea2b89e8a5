"""Reads the files of an audit log, oldest entry first, and verifies that nothing was changed, removed or inserted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.audit.entry import BEGINNING, Entry
from agent.core.errors import Permanent

PATTERN = "audit-*.jsonl"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first place at which a log is not what was written."""

    file: Path
    line: int
    """From 1."""
    reason: str


def audit_files(directory: Path) -> list[Path]:
    """The files of a log, oldest first."""
    return sorted(directory.glob(PATTERN))


def read_entries(directory: Path) -> Iterator[Entry]:
    """Every entry that can be read, oldest first; lines that cannot are for `verify`."""
    for path in audit_files(directory):
        for line in _lines(path):
            try:
                yield Entry.parse(line)
            except Permanent:
                continue


def verify(directory: Path) -> tuple[int, str, Fault | None]:
    """Number of entries up to the first fault, the hash of the last of them, and the fault, if there is one.

    Entries that were removed at the end leave no trace in the log itself: compare the hash with one that was noted
    elsewhere before, such as that of an export.
    """
    count, previous, number = 0, None, 0
    for path in audit_files(directory):
        for index, line in enumerate(_lines(path), 1):
            try:
                entry = Entry.parse(line)
            except Permanent as error:
                return count, previous or BEGINNING, Fault(path, index, str(error))
            reason = _break(entry, previous, number)
            if reason is not None:
                return count, previous or BEGINNING, Fault(path, index, reason)
            count, previous, number = count + 1, entry.hash, entry.number
    return count, previous or BEGINNING, None


def _break(entry: Entry, previous: str | None, number: int) -> str | None:
    """Why an entry does not follow the one before it; the oldest that is kept may follow deleted ones."""
    if previous is None:
        return "entries before the first are missing" if entry.number == 1 and entry.previous != BEGINNING else None
    if entry.previous != previous or entry.number != number + 1:
        return f"entry {entry.number} does not follow entry {number}"
    return None


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}") from None
