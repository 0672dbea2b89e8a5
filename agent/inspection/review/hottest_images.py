"""The images of a window with the highest scores, for a person to look at."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import cv2
import numpy as np

from agent.alarms import stored_window, to_8_bit
from agent.core.image_bytes import encode
from agent.core.records import Frame
from calibration import Arrays, from_document, to_document

# More than a person looks at; with their size they make about 0.5 MB.
MOST_IMAGES, LONGEST_SIDE = 24, 480


@dataclass(frozen=True, slots=True, order=True)
class HotImage:
    """One image of the window."""

    score: float
    place: int
    """Its place in the window, from 0."""
    frame: int = field(compare=False)
    """The camera's index of it."""
    origin: str | None = field(compare=False)
    """The file that it was read from; None for live cameras."""
    jpeg: bytes = field(compare=False, repr=False)
    """The inspected part, reduced to `LONGEST_SIDE` pixels."""


class HottestImages:
    """Keeps the `MOST_IMAGES` hottest images of one window."""

    def __init__(self) -> None:
        self._kept: list[HotImage] = []

    def offer(self, place: int, score: float, frame: Frame) -> None:
        """Keep an image if it is one of the hottest so far; it is encoded only then."""
        full = len(self._kept) >= MOST_IMAGES
        if full and score <= self._kept[0].score:
            return
        entry = HotImage(score, place, frame.index, frame.origin, _jpeg(frame))
        (heapq.heappushpop if full else heapq.heappush)(self._kept, entry)

    def arrays(self) -> Arrays:
        """Return everything, for `restore`."""
        known = [(each.score, each.place, each.frame, each.origin, len(each.jpeg)) for each in self._kept]
        joined = b"".join(each.jpeg for each in self._kept)
        return {"known": from_document({"images": known}), "jpegs": np.frombuffer(joined, np.uint8)}

    def restore(self, arrays: Arrays) -> None:
        """Continue where another one was when it returned these `arrays`."""
        joined, self._kept = arrays["jpegs"].tobytes(), []
        for score, place, frame, origin, size in to_document(arrays["known"])["images"]:
            jpeg, joined = joined[:size], joined[size:]
            self._kept.append(HotImage(score, place, frame, origin, jpeg))

    def hottest_first(self) -> list[HotImage]:
        """The images kept."""
        return sorted(self._kept, key=lambda image: (-image.score, image.place))


def _jpeg(frame: Frame) -> bytes:
    image = to_8_bit(frame.image, stored_window(frame.image))
    scale = LONGEST_SIDE / max(image.shape[:2])
    if scale < 1.0:
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return encode(image, "image/jpeg")
