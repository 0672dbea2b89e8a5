"""Frames and verdicts for tests of the stages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np

from agent.core.records import Frame, Image, Verdict
from agent.inspection.frame_queue import PreparedFrame
from calibration import glance

START = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
INTERVAL_SECONDS = 0.05


def picture(index: int, size: int = 32) -> Image:
    """A gray picture with noise of its own."""
    return np.random.default_rng(index).integers(90, 160, (size, size, 1)).astype(np.uint8)


def frame(index: int, camera: str = "line1", image: Image | None = None) -> Frame:
    """The frame of this index of a camera with 20 frames a second."""
    seconds = index * INTERVAL_SECONDS
    return Frame(
        camera=camera,
        index=index,
        captured_at=START + timedelta(seconds=seconds),
        captured_monotonic=1000.0 + seconds,
        image=picture(index) if image is None else image,
    )


def prepared(index: int, camera: str = "line1") -> PreparedFrame:
    """A frame that is its own model input."""
    made = frame(index, camera)
    return PreparedFrame(made, made.image, glance(made.image))


def verdict(index: int, statistic: float, threshold: float = 1.0) -> Verdict:
    """A verdict whose score is its statistic."""
    return Verdict(frame(index), statistic, statistic, threshold, np.full((4, 4), statistic, np.float32))
