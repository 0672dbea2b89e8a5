"""How many images may be in flight, and how fast those of a backlog are sent: a live alarm must always find room."""

from __future__ import annotations

from dataclasses import dataclass

# A live alarm waits behind the images in flight, so there are no more than the link carries in this time.
IMAGE_DELAY_SECONDS = 0.25

MIN_IMAGE_WINDOW_BYTES = 128 * 1024
MAX_IMAGE_WINDOW_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class ImageWindow:
    """How many bytes of images may be in flight: derived from their delay, as TCP Vegas derives its window.

    >>> window = ImageWindow()
    >>> window.acknowledged(100_000, delay_seconds=0.01); window.bytes
    231072
    >>> window.acknowledged(100_000, delay_seconds=1.0); window.bytes
    131072
    """

    bytes: int = MIN_IMAGE_WINDOW_BYTES

    def acknowledged(self, image_bytes: int, *, delay_seconds: float) -> None:
        """An image of this size was acknowledged `delay_seconds` after it was sent."""
        if delay_seconds < IMAGE_DELAY_SECONDS:
            self.bytes = min(self.bytes + image_bytes, MAX_IMAGE_WINDOW_BYTES)
        else:
            self.bytes = max(self.bytes // 2, MIN_IMAGE_WINDOW_BYTES)


class BacklogRate:
    """A token bucket for the images of a backlog.

    >>> rate = BacklogRate(20.0, now=0.0)
    >>> [rate.allows(now) for now in (0.0, 0.03, 0.06, 9.0, 9.0, 9.0)]
    [True, False, True, True, True, False]
    """

    def __init__(self, images_per_second: float, now: float) -> None:
        """`now`: monotonic seconds, as in `allows`."""
        self._rate = images_per_second
        self._tokens = 1.0
        self._updated_at = now

    def allows(self, now: float) -> bool:
        """Whether one more image may be sent; if so, it is counted."""
        burst = max(1.0, self._rate / 10)
        self._tokens = min(self._tokens + (now - self._updated_at) * self._rate, burst)
        self._updated_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
