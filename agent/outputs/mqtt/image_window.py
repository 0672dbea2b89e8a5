"""Bytes of images in flight to the broker."""

from __future__ import annotations

from dataclasses import dataclass

# A live alarm waits behind the pictures in flight, so there are no more than the link carries in this time.
PICTURE_DELAY_SECONDS = 0.25


MIN_PICTURE_WINDOW_BYTES = 128 * 1024


MAX_PICTURE_WINDOW_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class ImageWindow:
    """How many bytes of pictures may be in flight: found from their delay, as TCP Vegas finds its window.

    >>> window = ImageWindow()
    >>> window.acknowledged(100_000, delay_seconds=0.01); window.bytes
    231072
    >>> window.acknowledged(100_000, delay_seconds=1.0); window.bytes
    131072
    """

    bytes: int = MIN_PICTURE_WINDOW_BYTES

    def acknowledged(self, picture_bytes: int, *, delay_seconds: float) -> None:
        """A picture was acknowledged so long after it was sent."""
        if delay_seconds < PICTURE_DELAY_SECONDS:
            self.bytes = min(self.bytes + picture_bytes, MAX_PICTURE_WINDOW_BYTES)
        else:
            self.bytes = max(self.bytes // 2, MIN_PICTURE_WINDOW_BYTES)
