"""What can go wrong with a camera, on a timetable: for trying out how the inspector takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from agent.records import Image


class FaultKind(str, Enum):
    """A way in which a camera fails, while the line goes on."""

    BLACK = "black"
    """No light: only offset and read noise."""
    SATURATED = "saturated"
    """Far too much light."""
    FROZEN = "frozen"
    """The same picture over and over, bit for bit."""
    DEFOCUSED = "defocused"
    """The lens has turned."""
    SHIFTED = "shifted"
    """The camera was knocked: it looks an eighth of the picture to the side."""
    LOST = "lost"
    """No picture at all: reading and opening fail."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that begins at a time or at a frame, whichever is given, and lasts a while."""

    kind: FaultKind
    duration_seconds: float
    """How long it lasts; from the frame on where `start_frame` is given."""
    start_seconds: float | None = None
    """Seconds from the first frame on."""
    start_frame: int | None = None
    """Index of the first frame with the fault."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))
        if (self.start_seconds is None) == (self.start_frame is None):
            raise ValueError(f"fault {self.kind.value} wants exactly one of start_seconds and start_frame")


class Timetable:
    """Says which fault is in force."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = tuple(faults)
        self._started: dict[int, float] = {}

    def fault(self, frame_index: int, elapsed_seconds: float) -> FaultKind | None:
        """The fault of frame `frame_index` at a time since the first frame; the first one listed where several meet."""
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


def spoil(image: Image, kind: FaultKind, rng: np.random.Generator) -> Image:
    """Do to a picture [H, W, C] what a fault does; `FROZEN` and `LOST` are none of the picture's business."""
    full = np.iinfo(image.dtype).max
    if kind is FaultKind.BLACK:
        noise = rng.normal(0.012 * full, 0.004 * full, image.shape)
        return np.clip(noise, 0, full).astype(image.dtype)
    if kind is FaultKind.SATURATED:
        return np.clip(image.astype(np.float32) * 6.0 + 0.35 * full, 0, full).astype(image.dtype)
    if kind is FaultKind.DEFOCUSED:
        blurred = cv2.GaussianBlur(image, (0, 0), image.shape[1] / 64.0)
        return np.ascontiguousarray(blurred.reshape(image.shape))
    if kind is FaultKind.SHIFTED:
        return np.ascontiguousarray(np.roll(image, image.shape[1] // 8, axis=1))
    return image
