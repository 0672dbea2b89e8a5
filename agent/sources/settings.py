"""Settings sections, one for each kind of source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from agent.core.section import Section


class FaultSettings(Section):
    """A fault of the simulated camera."""

    kind: Literal["black", "saturated", "frozen", "defocused", "shifted", "lost"]
    duration_seconds: PositiveFloat
    start_seconds: Annotated[float, Field(ge=0.0)] | None = None
    start_frame: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _one_start(self) -> FaultSettings:
        if (self.start_seconds is None) == (self.start_frame is None):
            raise ValueError("wanted either start_seconds or start_frame")
        return self


class SimulatorSettings(Section):
    """The built-in production line."""

    kind: Literal["simulator"]
    mode: Literal["camera", "xray"] = "camera"
    frames_per_second: PositiveFloat = 20.0
    seed: NonNegativeInt = 0
    # Above this, two bad parts could not be told apart by their alarms.
    defect_rate: Annotated[float, Field(ge=0.0, le=0.2)] = 0.05
    frames_per_part: PositiveInt = 4
    good_frames: NonNegativeInt = 400
    max_frames: PositiveInt | None = None
    faults: tuple[FaultSettings, ...] = ()


class FolderSettings(Section):
    """Images in a folder, in the order of their names."""

    kind: Literal["folder"]
    path: Path
    follow: bool = False
    frames_per_second: PositiveFloat | None = None


class VideoSettings(Section):
    """A video file."""

    kind: Literal["video"]
    path: Path
    frames_per_second: PositiveFloat | None = None


class CameraSourceSettings(Section):
    """A V4L2 or USB camera (`device`) or a network camera (`url`)."""

    kind: Literal["camera"]
    device: str | int | None = None
    url: str | None = None
    width: PositiveInt | None = None
    height: PositiveInt | None = None
    frames_per_second: PositiveFloat | None = None
    open_timeout_seconds: PositiveFloat = 5.0
    read_timeout_seconds: PositiveFloat = 2.0

    @model_validator(mode="after")
    def _one_address(self) -> CameraSourceSettings:
        if (self.device is None) == (self.url is None):
            raise ValueError("wanted either device (such as /dev/video0) or url (such as rtsp://camera/stream)")
        return self


SourceSettings = Annotated[
    SimulatorSettings | FolderSettings | VideoSettings | CameraSourceSettings, Field(discriminator="kind")
]
