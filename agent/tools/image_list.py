"""Image files named on the command line."""

from __future__ import annotations

from pathlib import Path

from agent.core.errors import Permanent
from engines.images import list_images


def images_in(folder: Path) -> list[Path]:
    """All image files of a folder, sorted. Raises Permanent if there is none."""
    found = list_images(folder)
    if not found:
        raise Permanent(
            f"{folder}: no images in this folder; wanted PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000 or DICOM files"
        )
    return found
