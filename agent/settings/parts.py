"""The section `[cameras.NAME.parts]`: which frames show the same part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from agent.core.crop import Crop
from agent.core.section import Section
from agent.settings.codes import CodeSettings
from agent.sources.settings import SourceSection

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class PresenceSettings(Section):
    """A part is known by its image: it differs from that of the empty view."""

    background: Path
    """An image of the empty view, of the size and depth of the camera's."""
    region: Crop | None = None
    """The part of the source image that is compared, pixels; None: all of it."""
    enter: Share = 0.10
    """A part begins where so much of the region differs."""
    leave: Share = 0.05
    """It ends below this share."""
    min_frames: PositiveInt = 2
    """So many frames in a row begin a part, and end it."""
    max_frames: PositiveInt = 200
    """A part that is in view for longer is complete; this is reported until the view was empty."""

    @model_validator(mode="after")
    def _hysteresis(self) -> PresenceSettings:
        if self.leave >= self.enter:
            raise ValueError(f"leave is {self.leave:g}, wanted less than enter, which is {self.enter:g}")
        if self.max_frames <= self.min_frames:
            raise ValueError(
                f"max_frames is {self.max_frames}, wanted more than min_frames, which is {self.min_frames}"
            )
        return self


class PartSettings(Section):
    """Which frames show the same part. Without this section, each image of a folder is a part, and the parts of a
    camera or a video are not known."""

    trigger: bool = False
    """A part is announced by the command `inspect`, and the next frames show it."""
    frames_per_part: PositiveInt | None = None
    """So many frames in a row show the same part; with a trigger, the frames of a burst (default 1)."""
    gap_seconds: PositiveFloat | None = None
    """A time without a frame between two parts."""
    result_timeout_seconds: PositiveFloat = 2.0
    """A trigger without a result for so long is answered with `not_judged`, `late`."""
    max_waiting_triggers: PositiveInt = 100
    """Further triggers are rejected."""
    presence: PresenceSettings | None = None
    """Parts pass under a camera that runs freely, and each is recognised in the image."""
    code: CodeSettings | None = None
    """A code on each part that gives it its id; None: parts have none."""
    ok_heatmap_every: NonNegativeInt = 0
    """A heatmap goes with one ok part in so many, chosen at random; 0: with none."""

    @model_validator(mode="after")
    def _one_way(self) -> PartSettings:
        if self.gap_seconds is not None and (self.trigger or self.frames_per_part is not None):
            raise ValueError("got gap_seconds beside trigger or frames_per_part; wanted only one way to know parts")
        others = self.trigger or self.frames_per_part is not None or self.gap_seconds is not None
        if self.presence is not None and others:
            raise ValueError(
                "got presence beside trigger, frames_per_part or gap_seconds; wanted one way to know parts"
            )
        return self

    def check_source(self, source: SourceSection, *, known: bool) -> None:
        """Raise ValueError, with one line, where a source cannot have such parts; `known`: which frames show one."""
        if self.code is not None and not known:
            raise ValueError("parts.code: got a code, but not which frames show a part; wanted frames_per_part = 1")
        if self.ok_heatmap_every and not known:
            raise ValueError(
                f"parts.ok_heatmap_every: got {self.ok_heatmap_every}, but it is not known which frames show a part; "
                "wanted frames_per_part = 1"
            )
        if self.trigger and source.frame_is_part:
            raise ValueError(f"parts.trigger: each image of a {source.kind} is a part; wanted a camera for it")
        if source.wants_parts_announced and not self.trigger:
            raise ValueError('source.trigger: got "software"; wanted parts = { trigger = true } for it')
        if self.presence is not None and source.frame_is_part:
            raise ValueError(f"parts.presence: each image of a {source.kind} is a part; wanted a camera for it")
