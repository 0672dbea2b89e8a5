"""Frames whose verdict waits until it is known whether the part is strange or the camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.records import Frame


class Held:
    """Keeps every score, but only the frame that stands out: a second of large frames is much memory."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.hottest: tuple[Frame, float, NDArray[np.float32]] | None = None

    def add(self, frame: Frame, score: float, heatmap: NDArray[np.float32]) -> None:
        """Hold one more back."""
        self.scores.append(score)
        if self.hottest is None or score > self.hottest[1]:
            self.hottest = frame, score, heatmap.copy()
