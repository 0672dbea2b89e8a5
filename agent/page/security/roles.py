"""What a person may do."""

from __future__ import annotations

from enum import IntEnum

from agent.core.errors import Permanent


class Role(IntEnum):
    """Each role includes those before it."""

    VIEW = 1
    """Look at images, alarms and calibrations."""
    OPERATE = 2
    """Judge alarms, pause and resume."""
    ENGINEER = 3
    """Calibrate, export, read the audit log."""

    @property
    def text(self) -> str:
        """As in the accounts and on the command line."""
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Role:
        """Raises Permanent for an unknown role."""
        try:
            return cls[text.upper()]
        except KeyError:
            names = ", ".join(role.text for role in cls)
            raise Permanent(f"role: got {ascii(text)[:40]}, wanted one of {names}") from None
