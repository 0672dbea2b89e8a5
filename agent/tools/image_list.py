"""Image files named on the command line."""

from __future__ import annotations

from pathlib import Path

from agent.core.errors import Permanent
from engines.images import FileReading, list_images


def images_in(folder: Path, reading: FileReading | None = None) -> list[Path]:
    """All images of a folder, sorted. Raises Permanent if there is none."""
    found = list_images(folder, reading)
    if not found:
        raise Permanent(
            f"{folder}: no images in this folder; wanted PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000 or DICOM files"
        )
    return found
