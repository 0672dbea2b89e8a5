"""The command `live`: a camera's latest image for a screen, with the heatmap as a transparent layer.

Encoded only on request, at the size of a screen: a frame of 1280 x 960 costs 4 ms on the thread of the request, and
nothing is drawn on an inspection thread. The layer is small, since a heatmap is smooth; a browser enlarges it.
"""

from __future__ import annotations

import base64
import math
import time
from typing import Any

import cv2
import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt

from agent.alarms import heat_layer, regions, stored_window, to_8_bit
from agent.commands.command import Call
from agent.commands.snapshot import relative_heatmap
from agent.core.errors import Temporary
from agent.core.image_bytes import encode
from agent.core.records import Image
from agent.inspection import CameraLine, LastFrame
from agent.messages import CommandRequest, Instant, Payload

# Twice the quality of a video; small enough for a phone at 10 frames/s.
JPEG_QUALITY = 80

_LAYER_SIDE_PIXELS = 256


class LiveRequest(CommandRequest):
    """Return the latest image for a screen, with the heatmap as a transparent layer."""

    command = "live"
    after: int | None = Field(
        default=None,
        ge=0,
        strict=True,
        description="Index of the frame that is shown already: no images are returned while it is the latest one.",
    )
    side: int = Field(
        default=960, ge=64, le=1920, strict=True, description="Longest side of the image, pixels; never enlarged."
    )


class HotRegion(Payload):
    """A hot region, in fractions of the image."""

    x: float = Field(description="Left edge, 0 to 1.")
    y: float = Field(description="Top edge, 0 to 1.")
    width: float = Field(description="0 to 1.")
    height: float = Field(description="0 to 1.")
    peak: NonNegativeFloat = Field(
        description="Highest heatmap value inside; 1.0 is the highest of good parts at that place."
    )


class LiveResult(Payload):
    """The result of `live`. Without images where the frame is the one of `after`."""

    camera: str = Field(description="Name of the camera.")
    frame: NonNegativeInt = Field(description="Index of the frame, counted per camera since the agent started.")
    captured_at: Instant = Field(description="When it was captured; of an image file, the time of its last change.")
    age_seconds: NonNegativeFloat = Field(description="How long ago that was.")
    origin: str | None = Field(default=None, description="Name of the file that it was read from.")
    score: float | None = Field(description="Its score; null where it is not a finite number.")
    statistic: float | None = Field(description="The value compared with the threshold; null where it was not judged.")
    threshold: float | None = Field(description="The threshold in force; null until calibrated.")
    regions: list[HotRegion] = Field(default_factory=list, description="Regions hotter than those of good parts.")
    image: str | None = Field(default=None, description="The inspected part of the image, JPEG, base64.")
    heat: str | None = Field(default=None, description="The heatmap as a transparent layer over it, PNG, base64.")


_reference_peaks: dict[str, float] = {}


def live_image(call: Call) -> dict[str, Any]:
    """The latest image; only its description where the sender has it already."""
    line, request = call.line(), call.request
    last = line.station.last_frame
    if last is None:
        raise Temporary(f"camera {line.name}: no frame yet; try again once there are frames")
    result = _describe(line.name, last)
    if request.after == last.frame.index:
        return result.model_dump(mode="json")
    return _with_images(result, line, last, request.side).model_dump(mode="json")


def _describe(camera: str, last: LastFrame) -> LiveResult:
    frame, calibration = last.frame, last.calibration
    return LiveResult(
        camera=camera,
        frame=frame.index,
        captured_at=frame.captured_at,
        age_seconds=round(max(0.0, time.monotonic() - frame.captured_monotonic), 3),
        origin=frame.origin,
        score=_finite(last.score),
        statistic=_finite(last.statistic),
        threshold=None if calibration is None else calibration.threshold.value,
    )


def _with_images(result: LiveResult, line: CameraLine, last: LastFrame, side: int) -> LiveResult:
    heatmap = relative_heatmap(last, lambda: _reference_peak(line))
    window = None if last.calibration is None else last.calibration.display_window
    image = last.frame.image
    small = shrink(to_8_bit(shrink(image, side), window or stored_window(image)), side)
    height, width = image.shape[:2]
    hot = [
        HotRegion(
            x=region.x / width,
            y=region.y / height,
            width=region.width / width,
            height=region.height / height,
            peak=region.peak,
        )
        for region in regions(heatmap, image.shape)
        if region.peak > 1.0
    ]
    scale = _LAYER_SIDE_PIXELS / max(small.shape[:2])
    layer = heat_layer(heatmap, max(1, round(small.shape[0] * scale)), max(1, round(small.shape[1] * scale)))
    return result.model_copy(
        update={
            "regions": hot,
            "image": base64.b64encode(encode(small, "image/jpeg", quality=JPEG_QUALITY)).decode(),
            "heat": base64.b64encode(encode(layer, "image/png")).decode(),
        }
    )


def shrink(image: Any, side: int) -> Any:
    """The image [H, W, C], with its longest side `side` pixels at most."""
    scale = side / max(image.shape[:2])
    if scale >= 1.0:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small if small.ndim == 3 else small[:, :, None]


def _reference_peak(line: CameraLine) -> float:
    """The highest heat of the bundle's reference frames, which are read once."""
    sha256 = line.bundle.sha256
    if sha256 not in _reference_peaks:
        _reference_peaks[sha256] = float(np.max(line.bundle.reference().heatmap))
    return _reference_peaks[sha256]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
