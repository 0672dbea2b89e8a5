"""A command: its request, the function that carries it out, and what this function is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.commands.agent import RunningAgent
from agent.core.errors import Permanent
from agent.core.roles import Role
from agent.inspection import CameraLine
from agent.messages import CommandRequest, Payload


@dataclass(frozen=True, slots=True)
class Call:
    """One command to carry out."""

    agent: RunningAgent
    camera: str | None
    """Name of the camera; None for a command to the agent, or to its only camera."""
    request: Any
    """The validated request, an instance of the command's own model."""
    by: str
    """Who sent it, for the records."""

    def line(self) -> CameraLine:
        """The camera that the command is for. Raises Permanent where there is no such camera, or several."""
        lines = self.agent.lines
        if self.camera is not None and self.camera in lines:
            return lines[self.camera]
        if self.camera is None and len(lines) == 1:
            return next(iter(lines.values()))
        known = ", ".join(lines)
        if self.camera is None:
            raise Permanent(f"the command names no camera; wanted one of {known}")
        raise Permanent(f"unknown camera {self.camera!r}; wanted one of {known}")


Handler = Callable[[Call], dict[str, Any]]
"""Carries a command out on the thread of its transport; returns the result as JSON values.

What belongs to a camera's inspection thread is changed through `CameraLine.call`. Raises InspectdError, EngineError or
CalibrationError to reject the command; the error's text becomes the response.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table of commands."""

    request: type[CommandRequest]
    """Model of the request; it carries the command's name, which is the last part of the MQTT topic."""
    handler: Handler
    result: type[Payload] | None = None
    """Model of the result, for the documents; None for a few plain fields."""
    reads: bool = False
    """It changes nothing; a program may send it every second."""
    screen: bool = False
    """For programs with a screen, such as the page; the command line has no command for it."""
    role: Role | None = None
    """Who may send it; None: to read, `view`, and to change something, `engineer`."""
    audited: bool = True
    """The audit log has an entry for it; False where it belongs to production or to the audit log itself."""

    @property
    def least_role(self) -> Role:
        """The role that its sender needs."""
        if self.role is not None:
            return self.role
        return Role.VIEW if self.reads else Role.ENGINEER

    @property
    def name(self) -> str:
        """Name of the command, such as `calibration/rollback`."""
        return self.request.command
