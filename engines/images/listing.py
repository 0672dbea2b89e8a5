"""Which files are images, by their names, and the order in which a listing gives them."""

from __future__ import annotations

import re
from pathlib import Path

from engines.bundles import FileReading
from engines.errors import ImageError
from engines.images.formats.completeness import completeness_check
from engines.images.formats.raw import RAW_SUFFIX
from engines.images.frames import images_of

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jp2", ".dcm"})
"""File name suffixes of images, lower case; upper case counts as well. A file without a suffix may be an image too."""

# The magic number of DICOM follows 128 bytes; those of other formats come first.
HEAD_BYTES = 132


def suffixes_read(reading: FileReading | None = None) -> frozenset[str]:
    """Suffixes of images: raw files count where their format is given."""
    return SUFFIXES if reading is None or reading.raw is None else SUFFIXES | {RAW_SUFFIX}


def list_images(folder: Path | str, reading: FileReading | None = None) -> list[Path]:
    """The images in a folder, in natural order, without hidden files; ImageError if it cannot be listed.

    Their files have the suffix of an image, or none and the content of one. A file with several frames or pages is
    listed as so many images (`engines.images.frames`).
    """
    path = Path(folder)
    if not path.is_dir():
        raise ImageError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}, wanted a folder of images")
    try:
        entries = sorted(path.iterdir(), key=lambda entry: natural_order(entry.name))
    except OSError as error:
        raise ImageError(f"{path}: cannot be listed ({error.strerror or error})") from None
    suffixes = suffixes_read(reading)
    files = [entry for entry in entries if not entry.name.startswith(".") and _is_image(entry, suffixes)]
    return [image for file in files for image in images_of(file, reading)]


def has_image_content(file: Path | str) -> bool:
    """Whether a file begins like an image that is read; False if it cannot be read."""
    try:
        with Path(file).open("rb") as opened:
            head = opened.read(HEAD_BYTES)
    except OSError:
        return False
    return completeness_check(head) is not None or head[128:] == b"DICM"


def _is_image(entry: Path, suffixes: frozenset[str]) -> bool:
    return entry.suffix.lower() in suffixes or (entry.suffix == "" and entry.is_file() and has_image_content(entry))


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Key that sorts numbers in names by value.

    >>> sorted(["part_10.png", "part_2.png"], key=natural_order)
    ['part_2.png', 'part_10.png']
    """
    # Every second part is a number. `int` rejects numbers of thousands of digits; a file name has 255 bytes.
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), part) if index % 2 else (1, 0, part) for index, part in enumerate(parts)]
