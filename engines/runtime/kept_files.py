"""Small files that survive a restart, in the agent's state directory: written completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "engines"
"""The folder in the state directory."""


def keep(path: Path, data: bytes) -> None:
    """Write `state directory/folder/file` and create its folder; OSError if the disk does not take it.

    Files that root writes for an agent, with `sudo inspectd engine build` for example, get the owner of the state
    directory.
    """
    state_directory = path.parent.parent
    state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    _give_to_owner_of(state_directory, path.parent)
    staged = path.with_name(f".{path.name}.new")
    staged.unlink(missing_ok=True)
    # Never writable by others, whatever the umask is: a plan is code.
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _give_to_owner_of(state_directory, staged)
    staged.replace(path)


def _give_to_owner_of(state_directory: Path, path: Path) -> None:
    if os.geteuid() == 0:
        owner = state_directory.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
