"""Files that are written completely or not at all; and why the disk does not take a file."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from agent.core.errors import Permanent

# EDQUOT: the quota of this user.
_FULL = {errno.ENOSPC, errno.EDQUOT}

# SQLite gives no error number before Python 3.11.
_SQLITE_FULL = "database or disk is full"


def replace_file(path: Path, data: bytes) -> None:
    """Write a file of the state directory, for its owner only; a power cut leaves the old content or the new one.

    The file keeps its owner where root writes it. Its directory must exist. Raises OSError, also where something else
    than a file has this name: /dev/null would be replaced for every program.
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "it exists and is no file", str(path))
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # A part of the file would take what little room is left.
        fresh.unlink(missing_ok=True)
        raise
    if os.geteuid() == 0 and path.exists():
        status = path.stat()
        os.chown(fresh, status.st_uid, status.st_gid)
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that a person asked for, such as an image; the part that a full disk took is removed.

    Raises Permanent, one line, if it cannot be written.
    """
    opened = False
    try:
        with path.open("wb") as file:
            opened = True
            file.write(data)
    except OSError as error:
        if opened and path.is_file():
            path.unlink()
        raise Permanent(f"{path}: cannot be written ({error.strerror or error})") from None


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no room on the disk.

    >>> is_disk_full(OSError(errno.ENOSPC, "No space left on device"))
    True
    >>> is_disk_full(PermissionError(13, "Permission denied"))
    False
    """
    if isinstance(error, sqlite3.Error):
        return _SQLITE_FULL in str(error).lower()
    return isinstance(error, OSError) and error.errno in _FULL


def disk_reason(error: OSError | sqlite3.Error, folder: Path | str) -> str:
    """The reason of an error, without the file's name; where the disk is full, with what to do about it.

    >>> disk_reason(OSError(errno.ENOSPC, "No space left on device"), "/var/lib/inspectd")
    'the disk is full; free some space on /var/lib/inspectd (`inspectd doctor` shows how much, and what fills it)'
    >>> disk_reason(PermissionError(13, "Permission denied"), "/var/lib/inspectd")
    'Permission denied'
    """
    if is_disk_full(error):
        return f"the disk is full; free some space on {folder} (`inspectd doctor` shows how much, and what fills it)"
    return str(getattr(error, "strerror", None) or error)
