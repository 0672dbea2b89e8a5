"""A small file system of its own that a test can fill; needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def mounted(directory: Path, size: str) -> Iterator[Path]:
    """A tmpfs of this size, such as `32m`, at the directory; skips the test where none can be mounted."""
    mount = shutil.which("mount")
    directory.mkdir(parents=True, exist_ok=True)
    command = [mount or "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    if mount is None or os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root and a kernel that allows it")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(file: Path) -> None:
    """Use all the space that is left."""
    with suppress(OSError), file.open("wb", buffering=0) as open_file:
        while open_file.write(bytes(4096)) == 4096:
            pass
