"""The state directory is readable by its owner only: images of parts and calibrations are nobody else's business."""

from __future__ import annotations

import os
import stat
from pathlib import Path

# Only what the agent itself writes there is changed: the directory may be one that a person chose.
_FOLDERS = ("cameras", "engines", "evidence")
_PREFIX = "outbox.sqlite"


def keep_private(directory: Path) -> None:
    """Create every file from now on for its owner only, and close what an earlier version left open to others.

    Folders that are closed hide what is in them, so only the first level is changed.
    """
    os.umask(0o077)
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        if path.name not in _FOLDERS and not path.name.startswith(_PREFIX):
            continue
        found = path.lstat()
        if stat.S_IMODE(found.st_mode) & 0o077 and found.st_uid == os.geteuid():
            if stat.S_ISDIR(found.st_mode):
                path.chmod(0o700)
            elif stat.S_ISREG(found.st_mode):
                path.chmod(0o600)
