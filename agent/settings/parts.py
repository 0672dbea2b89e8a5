"""The section `[cameras.NAME.parts]`: which frames show the same part."""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt, model_validator

from agent.core.section import Section
from agent.settings.codes import CodeSettings


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
    code: CodeSettings | None = None
    """A code on each part that gives it its id; None: parts have none."""

    @model_validator(mode="after")
    def _one_way(self) -> PartSettings:
        if self.gap_seconds is not None and (self.trigger or self.frames_per_part is not None):
            raise ValueError("got gap_seconds beside trigger or frames_per_part; wanted only one way to know parts")
        return self
