"""Bytes of images in flight to the broker."""

from __future__ import annotations

from dataclasses import dataclass

# A live alarm waits behind the images in flight, so there are no more than the link carries in this time.
IMAGE_DELAY_SECONDS = 0.25


MIN_IMAGE_WINDOW_BYTES = 128 * 1024


MAX_IMAGE_WINDOW_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class ImageWindow:
    """How many bytes of images may be in flight: found from their delay, as TCP Vegas finds its window.

    >>> window = ImageWindow()
    >>> window.acknowledged(100_000, delay_seconds=0.01); window.bytes
    231072
    >>> window.acknowledged(100_000, delay_seconds=1.0); window.bytes
    131072
    """

    bytes: int = MIN_IMAGE_WINDOW_BYTES

    def acknowledged(self, image_bytes: int, *, delay_seconds: float) -> None:
        """An image was acknowledged so long after it was sent."""
        if delay_seconds < IMAGE_DELAY_SECONDS:
            self.bytes = min(self.bytes + image_bytes, MAX_IMAGE_WINDOW_BYTES)
        else:
            self.bytes = max(self.bytes // 2, MIN_IMAGE_WINDOW_BYTES)
