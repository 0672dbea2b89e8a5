"""Base class of a settings section."""

from __future__ import annotations

from pydantic import (
    BaseModel,
    ConfigDict,
)


class Section(BaseModel):
    """A part of the settings: unknown keys are mistakes, and nothing changes after start."""

    model_config = ConfigDict(extra="forbid", frozen=True)
