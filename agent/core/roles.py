"""What a person, or a program, may do."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

from agent.core.errors import Permanent

RoleName = Literal["view", "operate", "engineer"]


class Role(IntEnum):
    """Each role includes those before it."""

    VIEW = 1
    """Look at images, alarms and calibrations."""
    OPERATE = 2
    """Judge alarms, pause and resume, change the product, announce parts."""
    ENGINEER = 3
    """Everything: calibrate, change models and settings, export, read the audit log."""

    @property
    def text(self) -> str:
        """As in the accounts and on the command line."""
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Role:
        """The role of this name. Raises Permanent for an unknown one."""
        try:
            return cls[text.upper()]
        except KeyError:
            names = ", ".join(role.text for role in cls)
            raise Permanent(f"role: got {ascii(text)[:40]}, wanted one of {names}") from None
