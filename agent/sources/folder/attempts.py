"""Recognises a file that ends the agent: one that crashes a decoder, or takes more memory than there is."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from agent.core.records import FileVersion

log = logging.getLogger(__name__)

# A decoder that crashes does so each time. An agent that is stopped or killed may be reading a file by chance.
MAX_ATTEMPTS = 5

# Files at which an agent has ended and that were removed since would otherwise be kept for ever.
MAX_FILES = 100


class Attempts:
    """Counts how often the agent ended while it read a file.

    The file that is being read is on the disk before it is read, and no longer after. Not synced: what ends the agent
    leaves the system running. A disk error is no reason not to read a file.
    """

    def __init__(self, path: Path | None) -> None:
        """Args: path: of the JSON document; None counts nothing beyond this process."""
        self._path = path
        self._counts = _load(path)

    def begin(self, file: FileVersion) -> bool:
        """The file is about to be read. False if the agent has ended `MAX_ATTEMPTS` times while it read it."""
        count = self._counts.get(file, 0)
        if count >= MAX_ATTEMPTS:
            return False
        self._counts[file] = count + 1
        self._store()
        return True

    def end(self, file: FileVersion) -> None:
        """The file was read, or rejected; the agent is still there."""
        if self._counts.pop(file, None) is not None:
            self._store()

    def _store(self) -> None:
        if self._path is None:
            return
        rows = [[file.name, file.size, file.modified_ns, count] for file, count in self._counts.items()]
        line = json.dumps(rows).encode() + b"\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # In place: a rename would write to the disk for each image.
                os.pwrite(descriptor, line, 0)
                os.ftruncate(descriptor, len(line))
            finally:
                os.close(descriptor)
        except OSError as error:
            log.debug("%s cannot be written: %s", self._path, error)


def _load(path: Path | None) -> dict[FileVersion, int]:
    """The files that were being read when an earlier agent ended, each with its count."""
    if path is None:
        return {}
    try:
        rows = json.loads(path.read_bytes().split(b"\n", 1)[0])
        return {FileVersion(name, size, modified_ns): count for name, size, modified_ns, count in rows[-MAX_FILES:]}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
