"""One camera with all that belongs to it, as the service and its helpers hand it round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.core.durations import Durations
from agent.inspection.capture import Capture
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.station import Station
from agent.inspection.thread import InspectionThread
from agent.messages import ModelPayload
from agent.settings import CameraSettings
from calibration import ScoreLog
from engines.bundles import Bundle
from engines.runtime import Engine


@dataclass(slots=True)
class CameraLine:
    """One camera with all that belongs to it."""

    name: str
    settings: CameraSettings
    bundle: Bundle
    engine: Engine
    station: Station
    capture: Capture
    intake: FrameQueue
    counters: Counters
    score_log: ScoreLog
    inspection: InspectionThread | None = None
    next_score_monotonic: float = 0.0
    lost_monotonic: float | None = None
    """Since when the camera gives no frames, seconds; None while it does."""
    preview: dict[str, Any] | None = None
    """What the last recalibration found, once it is finished."""

    @property
    def model(self) -> ModelPayload:
        """For the payloads."""
        return ModelPayload(name=self.bundle.manifest.name, sha256=self.bundle.sha256)


@dataclass(slots=True)
class Counters:
    """What is counted of one camera's frames."""

    frames: int = 0
    """Frames scored since start."""
    verdict_durations: Durations = None  # type: ignore[assignment]
    """Capture to verdict."""

    def __post_init__(self) -> None:
        self.verdict_durations = Durations()
