"""What the head of an image file says, before a pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageHead:
    """Size, orientation and kind of an image."""

    width: int
    """Columns as stored, pixels."""
    height: int
    """Rows as stored, pixels."""
    orientation: int = 1
    """1 to 8, as in Exif 2.3, section 4.6.4; 1 is upright."""
    several: bool = False
    """Whether the file holds more than one image: pages or an animation."""
    rejection: str | None = None
    """Why this kind is not read, what was got and what was wanted; None if it is read."""
