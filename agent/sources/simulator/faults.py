"""Camera faults on a timetable, to test how the agent reacts to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.records import Image


class FaultKind(str, Enum):
    """How a camera fails while the line keeps running."""

    BLACK = "black"
    """No light: only offset and read noise."""
    SATURATED = "saturated"
    """Far too much light."""
    FROZEN = "frozen"
    """The same image again and again, bit for bit."""
    DEFOCUSED = "defocused"
    """The lens is out of focus."""
    SHIFTED = "shifted"
    """The camera was hit and has moved: the view is shifted by an eighth of the image width."""
    LOST = "lost"
    """No images at all: reading and opening fail."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that starts either at a time or at a frame.

    Raises ValueError for neither, both, or an unknown kind.
    """

    kind: FaultKind
    duration_seconds: float
    """How long it lasts; with `start_frame`, counted from that frame."""
    start_seconds: float | None = None
    """Seconds after the first frame of the stream."""
    start_frame: int | None = None
    """Index of the first frame with the fault."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))
        if (self.start_seconds is None) == (self.start_frame is None):
            raise ValueError(f"fault {self.kind.value}: wanted exactly one of start_seconds and start_frame")


class Timetable:
    """Knows which fault is active."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = tuple(faults)
        self._started: dict[int, float] = {}

    def fault(self, frame_index: int, elapsed_seconds: float) -> FaultKind | None:
        """The fault of frame `frame_index`, `elapsed_seconds` after the first frame; the first of several."""
        for number, fault in enumerate(self._faults):
            start = self._start(number, fault, frame_index, elapsed_seconds)
            if start is not None and start <= elapsed_seconds < start + fault.duration_seconds:
                return fault.kind
        return None

    def _start(self, number: int, fault: Fault, frame_index: int, elapsed_seconds: float) -> float | None:
        if fault.start_seconds is not None:
            return fault.start_seconds
        if fault.start_frame is not None and frame_index >= fault.start_frame:
            return self._started.setdefault(number, elapsed_seconds)
        return None


def apply_fault(image: Image, kind: FaultKind, rng: np.random.Generator) -> Image:
    """An image [H, W, C], uint8 or uint16, as the faulty camera gives it; `FROZEN` and `LOST` do not change it."""
    full = int(np.iinfo(image.dtype).max)
    if kind is FaultKind.BLACK:
        noise = rng.normal(0.012 * full, 0.004 * full, image.shape)
        return _levels(noise, image)
    if kind is FaultKind.SATURATED:
        return _levels(image * 6.0 + 0.35 * full, image)
    if kind is FaultKind.DEFOCUSED:
        blurred = cv2.GaussianBlur(image, (0, 0), image.shape[1] / 64.0)
        return _levels(blurred.reshape(image.shape), image)
    if kind is FaultKind.SHIFTED:
        return _levels(np.roll(image, image.shape[1] // 8, axis=1), image)
    return image


def _levels(values: NDArray[Any], like: Image) -> Image:
    """Clip values to the range of an image's type, and convert them to it."""
    clipped = np.clip(values, 0, np.iinfo(like.dtype).max)
    return np.asarray(clipped, np.uint8) if like.dtype == np.uint8 else np.asarray(clipped, np.uint16)
