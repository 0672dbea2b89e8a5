"""The command `snapshot`: a camera's latest frame with its score, threshold and images.

Before the first calibration there is no limit for the heat at each place. The heatmap is then relative to the hottest
spot of the bundle's own good reference frames; the result's field `heat` and the caption say so.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.alarms import Evidence, EvidenceImage, as_captured, regions
from agent.commands.command import Call
from agent.core.errors import Permanent, Temporary
from agent.core.records import Phase
from agent.inspection import LastFrame
from agent.messages import SnapshotImage, SnapshotResult
from agent.monitoring import phase_of
from agent.outputs import Output


def snapshot(call: Call) -> dict[str, Any]:
    """The latest frame. Images are in the result where the request says `inline`, else every output publishes them."""
    line, agent = call.line(), call.agent
    last, camera = line.station.last_frame, line.capture.status
    phase, reason = phase_of(line.station, camera), camera.reason or line.station.reason
    if last is None:
        raise Temporary(f"camera {line.name}: no frame yet ({reason or phase.value}); try again once there are frames")
    if not math.isfinite(last.score):
        raise Permanent(f"camera {line.name}: the score of the latest frame is {last.score}, wanted a finite number")
    result = describe(line.name, last, phase=phase, reason=reason, now_monotonic=time.monotonic())
    images = draw(last, agent.evidence, lambda: float(line.bundle.reference().heatmap.max()))
    if call.request.inline:
        return result.model_copy(update={"pictures": inline(images)}).model_dump(mode="json")
    sent, left_out = publish(images, line.name, agent.outputs)
    return result.model_copy(update={"pictures": sent, "left_out": left_out}).model_dump(mode="json")


def describe(camera: str, last: LastFrame, *, phase: Phase, reason: str | None, now_monotonic: float) -> SnapshotResult:
    """The result, still without images; `now_monotonic` is in seconds, on the clock of the frames."""
    frame, calibration = last.frame, last.calibration
    return SnapshotResult(
        camera=camera,
        captured_at=frame.captured_at,
        age_seconds=round(max(0.0, now_monotonic - frame.captured_monotonic), 3),
        frame=frame.index,
        origin=frame.origin,
        phase=phase,
        reason=reason,
        score=last.score,
        statistic=last.statistic,
        threshold=None if calibration is None else calibration.threshold.value,
        calibration=None if calibration is None else calibration.id,
        heat="reference" if calibration is None else "calibration",
    )


def draw(last: LastFrame, evidence: Evidence, reference_peak: Callable[[], float]) -> list[EvidenceImage]:
    """Heatmap, overlay and frame, encoded.

    `reference_peak` returns the highest raw heat of the bundle's good reference frames; it is called only where there
    is no calibration.
    """
    frame, calibration = last.frame, last.calibration
    frame, heatmap, _ = as_captured(frame, relative_heatmap(last, reference_peak))
    hot = [region for region in regions(heatmap, frame.image.shape) if region.peak > 1.0]
    limit = "not calibrated yet" if calibration is None else f"threshold {calibration.threshold.value:.3g}"
    captions = (
        f"{frame.camera}   score {last.score:.3g}   {limit}",
        f"{frame.captured_at:%Y-%m-%d %H:%M:%S} UTC   frame {frame.index}   snapshot",
    )
    return evidence.draw(frame, heatmap, hot, captions, None if calibration is None else calibration.display_window)


def relative_heatmap(last: LastFrame, reference_peak: Callable[[], float]) -> NDArray[np.float32]:
    """Heatmap [h, w] in which 1.0 is the limit: of good parts at each place, else of the reference frames."""
    if last.calibration is not None:
        return last.of_image(last.calibration.heat(last.heatmap))
    relative = last.heatmap / max(reference_peak(), float(np.finfo(np.float32).tiny))
    return last.of_image(np.asarray(relative, np.float32))


def inline(images: Sequence[EvidenceImage]) -> dict[str, SnapshotImage]:
    """The images for the result itself, base64, by name."""
    return {image.name: _entry(image, base64=base64.b64encode(image.payload).decode()) for image in images}


def publish(
    images: Sequence[EvidenceImage], camera: str, outputs: Sequence[Output]
) -> tuple[dict[str, SnapshotImage], list[str]]:
    """Give the images to every output. Returns where each was sent, by name, and a line for each that was left out."""
    sent: dict[str, SnapshotImage] = {}
    left_out: list[str] = []
    for output in outputs:
        result = output.publish_images(camera, images)
        # Of several outputs, the first one in the settings counts.
        sent = {**result.sent, **sent}
        left_out += result.left_out
    return sent, left_out


def _entry(image: EvidenceImage, **more: object) -> SnapshotImage:
    return SnapshotImage.model_validate(
        {"sha256": image.sha256, "media_type": image.media_type, "bytes": len(image.payload), **more}
    )
