"""Files that hold several images: frames of DICOM and raw files, pages of TIFF files."""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from engines.bundles import FileReading
from engines.errors import ImageError
from engines.images.formats.dicom import dicom_frames
from engines.images.formats.numbering import frame_path
from engines.images.formats.raw import RAW_SUFFIX
from engines.images.formats.tiff import is_tiff, parse_tiff

# A DICOM head may claim any number.
MAX_FRAMES = 10_000


def images_of(file: Path, reading: FileReading | None = None) -> list[Path]:
    """The path of each image of a file: its own, or that of each frame where it holds several."""
    count = frame_count(file, reading)
    return [file] if count == 1 else [frame_path(file, number) for number in range(1, count + 1)]


def frame_count(file: Path, reading: FileReading | None = None) -> int:
    """How many images a file holds, 1 where that cannot be found out: reading it gives the reason."""
    with suppress(OSError, ImageError, struct.error, ValueError), _open(file) as opened:
        if file.suffix.lower() == RAW_SUFFIX and reading is not None and reading.raw is not None:
            whole = os.fstat(opened.fileno()).st_size == reading.raw.file_bytes
            return reading.raw.frames if whole else 1
        head = opened.read(132)
        if is_tiff(head):
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
                content: Any = data
                return parse_tiff(content).pages
        if head[128:] == b"DICM":
            return min(MAX_FRAMES, dicom_frames(file, opened))
    return 1


def _open(file: Path) -> BinaryIO:
    """A file to look into; a pipe is not waited for."""
    return os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
