"""Cameras when they are armed, and when the agent stops."""

from __future__ import annotations

import time
from collections.abc import Iterable

from agent.core.records import Phase
from agent.inspection import CameraLine

# A GigE Vision camera that is not given back obeys nobody for three seconds. Giving it back takes a tenth of one.
RELEASE_SECONDS = 0.5


def hold_light(lines: Iterable[CameraLine]) -> None:
    """Let each armed camera keep the light that its threshold was computed for. Costs nothing for the others."""
    for line in lines:
        if line.station.phase is Phase.ARMED:
            line.capture.hold()


def stop_cameras(lines: Iterable[CameraLine]) -> None:
    """Ask the threads that read the cameras to end; returns at once."""
    for line in lines:
        line.capture.stop()


def release_cameras(lines: Iterable[CameraLine]) -> None:
    """Wait a moment until the cameras that only one program can use are closed; `stop_cameras` comes first."""
    deadline = time.monotonic() + RELEASE_SECONDS
    for line in lines:
        if line.settings.source.exclusive and line.capture.is_alive():
            line.capture.join(max(0.0, deadline - time.monotonic()))
