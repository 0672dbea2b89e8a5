"""Read a file that may be hostile: never through a link, never from a device, never more than wanted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engines.errors import BundleError


def read_plain_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a plain file; BundleError for a link, a special file, or more than `max_bytes`.

    The checks are made on the open file, so it cannot be replaced between them and the reading.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BundleError(f"{path}: a link or special file, wanted a plain file")
            if found.st_size > max_bytes:
                raise BundleError(f"{path}: {found.st_size} bytes, wanted at most {max_bytes}")
            content = file.read(max_bytes + 1)
    except OSError as error:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise BundleError(f"{path}: a link or special file, wanted a plain file") from None
        raise BundleError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(content) > max_bytes:
        raise BundleError(f"{path}: grows while it is read, wanted at most {max_bytes} bytes")
    return content
