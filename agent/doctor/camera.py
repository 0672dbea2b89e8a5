"""Checks of cameras: reachable, and what they really deliver; of folders and films, that there is something."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agent.commands import ask
from agent.core.errors import InspectdError
from agent.core.records import Image
from agent.doctor.finding import CheckResult, ok, problem, warning
from agent.inspection import Preparation
from agent.settings import CameraSettings, Settings
from agent.sources import EndOfStream, FrameSource, build_source
from agent.sources.settings import CameraSourceSettings
from engines.bundles import read_bundle
from engines.errors import EngineError

# How long frames are counted, and how many are enough.
LOOK_SECONDS = 2.0
LOOK_FRAMES = 200

# A camera that gives less than this share of what was asked has too long an exposure, or too slow a link.
SLOW = 0.8


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a source gave while it was looked at."""

    image: Image
    """The last frame, [H, W, C]."""
    frames_per_second: float | None
    """None where one frame was all there was."""

    def __str__(self) -> str:
        height, width, channels = self.image.shape
        kind = "gray" if channels == 1 else "colour"
        rate = "" if self.frames_per_second is None else f", {self.frames_per_second:.1f} frames/s"
        return f"{width}×{height} {kind}, {self.image.dtype.itemsize * 8} bit{rate}"


def check_cameras(settings: Settings) -> Iterator[CheckResult]:
    """Each source opens and gives frames that its bundle takes. One that the running agent holds is asked of it."""
    for name, camera in settings.cameras.items():
        running = _asked(settings, name)
        yield running if running is not None else _looked_at(name, camera)


def _asked(settings: Settings, name: str) -> CheckResult | None:
    """What the running agent says of its camera; None where no agent runs: then the camera is free."""
    try:
        state = ask(settings.socket_path, "status", name, timeout_seconds=3.0)["cameras"][name]
    except (InspectdError, KeyError):
        return None
    subject = f"camera {name}"
    if state["phase"] == "camera_lost":
        return problem(subject, f"the running agent has lost it: {state['reason']}", "check its power and its cable")
    return ok(subject, f"in use by the running agent: {state['phase']}, {state['frames_per_second']:.1f} frames/s")


def _looked_at(name: str, camera: CameraSettings) -> CheckResult:
    subject = f"camera {name}"
    try:
        delivered = _deliver(camera)
        with suppress(EngineError):  # a bundle that cannot be read is told of elsewhere
            Preparation(read_bundle(camera.bundle).geometry, camera.crop)(delivered.image)
    except EndOfStream:
        return problem(subject, "the source is empty, wanted at least one frame", _mend(camera))
    except InspectdError as error:
        return problem(subject, str(error), _mend(camera))
    wanted, got = camera.source.frames_per_second, delivered.frames_per_second
    if wanted is not None and got is not None and got < SLOW * wanted:
        text = f"{delivered}, wanted {wanted:g} frames/s"
        return warning(subject, text, "a shorter exposure, a smaller picture, or a lower frames_per_second")
    return ok(subject, str(delivered))


def _deliver(camera: CameraSettings) -> Delivered:
    """Read for a moment. Raises InspectdError, or EndOfStream where there is nothing at all."""
    with tempfile.TemporaryDirectory() as quarantine:
        source = build_source(camera.source, quarantine_directory=Path(quarantine))
        with source:
            return _read(source)


def _read(source: FrameSource) -> Delivered:
    image = source.read().image
    started, frames = time.monotonic(), 0
    with suppress(EndOfStream):
        while frames < LOOK_FRAMES and time.monotonic() - started < LOOK_SECONDS:
            image = source.read().image
            frames += 1
    seconds = time.monotonic() - started
    return Delivered(image, frames / seconds if source.live and frames else None)


def _mend(camera: CameraSettings) -> str:
    """The command that shows more, by the kind of source."""
    source = camera.source
    if not isinstance(source, CameraSourceSettings):
        return f"set source in the settings (kind is {source.kind})"
    if source.url is not None:
        return f"ping -c 3 {urlsplit(source.url).hostname}; then open the same address in VLC"
    return "sudo apt install v4l-utils; v4l2-ctl --list-devices; ls -l /dev/v4l/by-id; sudo usermod -aG video $USER"
