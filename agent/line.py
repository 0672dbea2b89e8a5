"""One camera with all that belongs to it, as the service and its helpers hand it round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.capture import Capture
from agent.inspection import Inspection
from agent.intake import Intake
from agent.payloads import ModelPayload
from agent.settings import CameraSettings
from agent.state import Counters
from agent.station import Station
from calibration import ScoreLog
from engines.bundle import Bundle
from engines.engine import Engine


@dataclass(slots=True)
class Line:
    """One camera with all that belongs to it."""

    name: str
    settings: CameraSettings
    bundle: Bundle
    engine: Engine
    station: Station
    capture: Capture
    intake: Intake
    counters: Counters
    score_log: ScoreLog
    inspection: Inspection | None = None
    next_score_monotonic: float = 0.0
    lost_monotonic: float | None = None
    """Since when the camera gives no frames, seconds; None while it does."""
    preview: dict[str, Any] | None = None
    """What the last recalibration found, once it is finished."""

    @property
    def model(self) -> ModelPayload:
        """For the payloads."""
        return ModelPayload(name=self.bundle.manifest.name, sha256=self.bundle.sha256)
