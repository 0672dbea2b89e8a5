"""The interface of a camera address (URL or device), and what is asked of the camera behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.sources.opencv.grabber import Handle


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What is asked of a camera; None leaves it to the camera."""

    width: int | None
    """Pixels."""
    height: int | None
    """Pixels."""
    frames_per_second: float | None
    open_timeout_seconds: float
    read_timeout_seconds: float


class Address(Protocol):
    """Where a camera is found. `str` of it names the camera in messages, without secrets."""

    def check(self) -> None:
        """Raise `Temporary` or `Permanent` if the camera obviously cannot be opened."""

    def connect(self, settings: CaptureSettings) -> Handle:
        """Open the camera. Called on the camera's own thread; may block."""

    def diagnose(self) -> str:
        """Find out why the camera did not open, within about a second; the words follow its name in a message."""
