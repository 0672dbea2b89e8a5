"""What a camera saw last and what the model made of it, for somebody who asks: score, threshold and three pictures.

Before there is a calibration nobody knows how hot good parts get at each place. The heat is then measured against the
hottest spot of the bundle's own good reference frames, and picture and answer say so.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from agent.alarms import Evidence, EvidenceImage, regions
from agent.core.records import Phase
from agent.inspection import LastFrame
from agent.messages import SnapshotImage, SnapshotResult
from agent.outputs import Output


def take_snapshot(
    camera: str, seen: LastFrame, *, phase: Phase, reason: str | None, now_monotonic: float
) -> SnapshotResult:
    """The answer, still without pictures; `now_monotonic` seconds is on the clock of the frames."""
    frame, calibration = seen.frame, seen.calibration
    return SnapshotResult(
        camera=camera,
        captured_at=frame.captured_at,
        age_seconds=round(max(0.0, now_monotonic - frame.captured_monotonic), 3),
        frame=frame.index,
        origin=frame.origin,
        phase=phase,
        reason=reason,
        score=seen.score,
        statistic=seen.statistic,
        threshold=None if calibration is None else calibration.threshold.value,
        calibration=None if calibration is None else calibration.id,
        heat="reference" if calibration is None else "calibration",
    )


def draw_seen(seen: LastFrame, evidence: Evidence, reference_peak: Callable[[], float]) -> list[EvidenceImage]:
    """Heatmap, overlay and frame; `reference_peak`: highest raw heat of the bundle's good reference frames."""
    frame, calibration = seen.frame, seen.calibration
    heat = _heat(seen, reference_peak)
    hot = [region for region in regions(heat, frame.image.shape) if region.peak > 1.0]
    limit = "not calibrated yet" if calibration is None else f"threshold {calibration.threshold.value:.3g}"
    captions = (
        f"{frame.camera}   score {seen.score:.3g}   {limit}",
        f"{frame.captured_at:%Y-%m-%d %H:%M:%S} UTC   frame {frame.index}   snapshot",
    )
    return evidence.draw(frame, heat, hot, captions)


def _heat(seen: LastFrame, reference_peak: Callable[[], float]) -> NDArray[np.float32]:
    if seen.calibration is not None:
        return seen.calibration.heat(seen.heatmap)
    return np.asarray(seen.heatmap / max(reference_peak(), float(np.finfo(np.float32).tiny)), np.float32)


def inlined(pictures: Sequence[EvidenceImage]) -> dict[str, SnapshotImage]:
    """Pictures for the answer itself, by name."""
    return {
        picture.name: _described(picture, base64=base64.b64encode(picture.payload).decode()) for picture in pictures
    }


def published(
    pictures: Sequence[EvidenceImage], camera: str, outputs: Sequence[Output]
) -> tuple[dict[str, SnapshotImage], list[str]]:
    """Hand the images to every output; returns where each can be found, by name, and a line for each left out."""
    sent: dict[str, SnapshotImage] = {}
    left_out: list[str] = []
    for output in outputs:
        result = output.publish_images(camera, pictures)
        sent = {**result.sent, **sent}
        left_out += result.left_out
    return sent, left_out


def _described(picture: EvidenceImage, **more: object) -> SnapshotImage:
    return SnapshotImage.model_validate(
        {"sha256": picture.sha256, "media_type": picture.media_type, "bytes": len(picture.payload), **more}
    )
