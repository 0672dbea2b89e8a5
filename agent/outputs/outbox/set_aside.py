"""Damaged databases beside the outbox: named so that a killed process continues, and limited in number."""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

log = logging.getLogger(__name__)

# Damaged files and image folders that are kept for examination; older ones are deleted. A failing disk damages one file
# after the other.
KEPT_ASIDE = 2

_COMPANIONS = ("", "-wal", "-shm")


class SetAside:
    """The damaged files of one database.

    `outbox.sqlite.salvaging-TIME` is still to be read; afterwards it is `outbox.sqlite.corrupt-TIME`. A process that is
    killed in between finds the first name, and reads it again.
    """

    def __init__(self, path: Path) -> None:
        """`path`: of the database."""
        self._path = path

    def rename(self) -> Path:
        """Rename the database and its log; returns the new path. Raises OSError."""
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
        aside = self._path.with_name(f"{self._path.name}.salvaging-{stamp}")
        # The database last: it is what `waiting` finds.
        for companion in reversed(_COMPANIONS):
            file = _with(self._path, companion)
            if file.exists():
                file.rename(_with(aside, companion))
        return aside

    def waiting(self) -> Path | None:
        """The file that is still to be read; None if there is none."""
        return max(self._path.parent.glob(f"{self._path.name}.salvaging-*[0-9]"), default=None)

    def finish(self) -> None:
        """Everything is read and committed: keep the files for examination, and delete the oldest."""
        for aside in self._path.parent.glob(f"{self._path.name}.salvaging-*[0-9]"):
            for companion in _COMPANIONS:
                with suppress(OSError):
                    file = _with(aside, companion)
                    file.rename(file.with_name(file.name.replace(".salvaging-", ".corrupt-")))
        for pattern in (f"{self._path.name}.corrupt-*[0-9]", f"{self._path.name}.pictures.corrupt-*"):
            for old in sorted(self._path.parent.glob(pattern))[:-KEPT_ASIDE]:
                log.info("%s is deleted: %d damaged ones are kept", old, KEPT_ASIDE)
                _delete(old)


def stamp_of(aside: Path) -> str:
    """The time in the name of a file that was set aside."""
    return aside.name.rpartition("-")[2]


def _with(path: Path, companion: str) -> Path:
    return path.with_name(path.name + companion)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    for companion in _COMPANIONS:
        with suppress(OSError):
            _with(path, companion).unlink()
