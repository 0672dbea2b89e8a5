"""Base class of a settings section."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


class Host(NamedTuple):
    """A host that a section's part of the agent connects to."""

    name: str
    """Name or address."""
    port: int


class Section(BaseModel):
    """One section of the settings: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
