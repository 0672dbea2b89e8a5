"""Base classes of settings sections, and what their fields share."""

from __future__ import annotations

import re
from typing import NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict


def matching(pattern: str, wanted: str) -> AfterValidator:
    """For a field whose whole text has to match; `wanted` says in words what does."""
    known = re.compile(pattern)

    def check(text: str) -> str:
        if not known.fullmatch(text):
            raise ValueError(f"wanted {wanted}")
        return text

    return AfterValidator(check)


class Host(NamedTuple):
    """A host and its port."""

    name: str
    """Name or address."""
    port: int


class Section(BaseModel):
    """One section of the settings: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ConnectedSection(Section):
    """A section of a part that connects to something outside the agent; `doctor` checks that the service may."""

    def hosts(self) -> list[Host]:
        """Hosts that it connects to."""
        return []

    def devices(self) -> list[str]:
        """Device files that it opens."""
        return []

    def listens(self) -> list[Host]:
        """Addresses and ports of this machine that it opens."""
        return []

    def clients(self) -> list[str]:
        """Addresses and networks of the clients that connect to it."""
        return []
