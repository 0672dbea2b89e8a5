"""Everything by which a camera judges one product: model, engine, view, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agent.core.crop import Crop
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.inspector import Inspector
from agent.inspection.preparation import Preparation, inspected_crop
from agent.inspection.station import Station
from agent.inspection.thread import InspectionThread
from agent.messages import ModelPayload
from agent.settings import CameraSettings
from calibration import ScoreLog
from engines.bundles import Bundle
from engines.runtime import Engine


@dataclass(frozen=True)
class Setup:
    """One product of one camera. A camera without products has one setup, without a name."""

    product: str | None
    """Name of the product; None for a camera without products."""
    settings: CameraSettings
    """The settings that the product is inspected with."""
    bundle: Bundle
    engine: Engine
    """Runs the model; shared by setups with the same bundle, like `frames`, `inspector` and `inspection`."""
    station: Station
    """From scores to verdicts and alarms."""
    preparation: Preparation
    """From a captured image to the model's input."""
    frames: FrameQueue
    """Captured frames that wait for inspection."""
    inspector: Inspector
    """Has the stations of the active setups."""
    inspection: InspectionThread
    """Inspects the frames."""
    score_log: ScoreLog
    """Keeps every score, for previews and reports."""

    @cached_property
    def crop(self) -> Crop | None:
        """The part of the image that is inspected; None: all of it."""
        return inspected_crop(self.settings.crop, self.bundle)

    @cached_property
    def model(self) -> ModelPayload:
        """Name and sha256 of the bundle, for messages."""
        return ModelPayload(name=self.bundle.manifest.name, sha256=self.bundle.sha256)
