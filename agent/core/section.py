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
    """A part of the settings: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
