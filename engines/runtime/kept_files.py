"""Small files that outlive a start, under the agent's state directory: complete or not there, and the agent's own."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "engines"
"""Below the state directory."""


def keep(path: Path, data: bytes) -> None:
    """Write a file and the folder that it lies in; OSError where the disk does not take it.

    What root writes for an agent, by `sudo inspectd engine build` say, belongs to the owner of the state directory.
    """
    state_directory = path.parent.parent
    state_directory.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(exist_ok=True)
    _hand_over(path.parent, state_directory)
    staged = path.with_name(f".{path.name}.new")
    staged.unlink(missing_ok=True)
    # Readable by all, as it is no secret; never writable by others, whatever the umask says: a plan is code.
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _hand_over(staged, state_directory)
    staged.replace(path)


def _hand_over(path: Path, like: Path) -> None:
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
