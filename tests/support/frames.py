"""Frames and verdicts for tests of the stages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np

from agent.core.records import Frame, Image, Verdict
from agent.inspection.frame_queue import PreparedFrame
from calibration import glance

START = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
INTERVAL_SECONDS = 0.05


def noise_image(index: int, size: int = 32) -> Image:
    """A gray image of noise, uint8 [size, size, 1], another one for each index."""
    return np.random.default_rng(index).integers(90, 160, (size, size, 1)).astype(np.uint8)


def frame(index: int, camera: str = "line1", image: Image | None = None) -> Frame:
    """Frame number `index` of a camera with 20 frames per second."""
    seconds = index * INTERVAL_SECONDS
    return Frame(
        camera=camera,
        index=index,
        captured_at=START + timedelta(seconds=seconds),
        captured_monotonic=1000.0 + seconds,
        image=noise_image(index) if image is None else image,
    )


def prepared(index: int, camera: str = "line1") -> PreparedFrame:
    """A frame whose image is the model's input already."""
    made = frame(index, camera)
    return PreparedFrame(made, made.image, glance(made.image))


def verdict(index: int, statistic: float, threshold: float = 1.0) -> Verdict:
    """A verdict whose statistic is its score."""
    return Verdict(frame(index), statistic, statistic, threshold, np.full((4, 4), statistic, np.float32))
