"""Which files are images, by their names, and the order in which a listing gives them."""

from __future__ import annotations

import re
from pathlib import Path

from engines.errors import ImageError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm"})
"""File name suffixes of images, lower case; upper case counts as well."""


def list_images(folder: Path | str) -> list[Path]:
    """The image files in a folder, in natural order, without hidden files; ImageError if it cannot be listed."""
    path = Path(folder)
    if not path.is_dir():
        raise ImageError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}, wanted a folder of images")
    try:
        entries = sorted(path.iterdir(), key=lambda entry: natural_order(entry.name))
    except OSError as error:
        raise ImageError(f"{path}: cannot be listed ({error.strerror or error})") from None
    return [entry for entry in entries if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")]


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Key that sorts numbers in names by value.

    >>> sorted(["part_10.png", "part_2.png"], key=natural_order)
    ['part_2.png', 'part_10.png']
    """
    # Every second part is a number. `int` rejects numbers of thousands of digits; a file name has 255 bytes.
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), part) if index % 2 else (1, 0, part) for index, part in enumerate(parts)]
