"""What every kind of camera address can do, and what is asked of the camera behind it."""

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
    """Where a camera is found. Its text (`str`) names it in messages, without secrets."""

    def check(self) -> None:
        """Raise `Temporary` or `Permanent` where it is plain beforehand that the camera cannot be opened."""

    def connect(self, wishes: CaptureSettings) -> Handle:
        """Open the camera; called on the camera's own thread, may take as long as it wants."""

    def refusal(self) -> str:
        """Say why the camera did not open, in words that follow its name; takes a second at most."""
