"""Checks the sources of cameras: each opens and gives frames that its model accepts, at the rate that was asked for."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from agent.commands import ask
from agent.core.errors import InspectdError
from agent.core.records import Image
from agent.doctor.check_result import CheckResult, Level, ok, problem, warning
from agent.inspection import (
    Preparation,
    PreparedImage,
    inspected_view,
    presence_meter_of,
)
from agent.settings import CameraSettings, Settings
from agent.sources import Captured, EndOfStream, FrameSource, build_source
from agent.sources.opencv import by_hardware, sends_b_frames
from agent.sources.settings import CameraSourceSettings, SourceSection
from engines.bundles import read_bundle
from engines.errors import EngineError

# How long frames are read from a source to measure its rate, and how many are enough.
SAMPLE_SECONDS = 2.0
SAMPLE_FRAMES = 200

# How long a source may take for its first frame. A camera has given up by then, with its reason; a folder just waits.
FIRST_FRAME_SECONDS = 10.0

# A camera below this share of the rate that was asked for has too long an exposure or too slow a link.
LOWEST_RATE = 0.8


@dataclass(frozen=True, slots=True)
class Sample:
    """What a source gave in a short time."""

    image: Image
    """The last frame, [H, W, C]."""
    frames_per_second: float | None
    """None for a source that is not live, and where a single frame was all that came."""

    def __str__(self) -> str:
        height, width, channels = self.image.shape
        kind = "gray" if channels == 1 else "colour"
        rate = "" if self.frames_per_second is None else f", {self.frames_per_second:.1f} frames/s"
        return f"{width}×{height} {kind}, {self.image.dtype.itemsize * 8} bit{rate}"


def check_cameras(
    settings: Settings, max_seconds: float = SAMPLE_SECONDS, first_frame_seconds: float = FIRST_FRAME_SECONDS
) -> Iterator[CheckResult]:
    """Each source opens and gives frames that its bundle accepts. Of a camera in use, the running agent reports.

    max_seconds: how long a source is read.
    """
    for name, camera in settings.cameras.items():
        found = _ask_agent(settings, name)
        if found is None and camera.source.listens():
            found = _check_port(name, camera.source)
        result = found or _read_camera(name, camera, max_seconds, first_frame_seconds)
        yield result
        opened = found is None and result.level is not Level.PROBLEM
        if opened and isinstance(camera.source, CameraSourceSettings):
            yield from _check_stream(name, camera.source)


def _ask_agent(settings: Settings, name: str) -> CheckResult | None:
    """The running agent's report on its camera; None if no agent is running, and the camera therefore free."""
    try:
        state = ask(settings.socket_path, "status", name, timeout_seconds=3.0)["cameras"][name]
    except (InspectdError, KeyError):
        return None
    subject = f"camera {name}"
    if state["phase"] == "camera_lost":
        text = f"the running agent has lost this camera: {state['reason']}"
        return problem(subject, text, "check the camera's power and cable")
    rate = state["frames_per_second"]
    speed = "no frames lately" if rate is None else f"{rate:.1f} frames/s"
    missing = state.get("without_part")
    parts = f", no part in {missing} of {state['frames']} frames" if missing else ""
    return ok(subject, f"in use by the running agent: {state['phase']}, {speed}{parts}")


def _check_port(name: str, source: SourceSection) -> CheckResult:
    """The port is free. What a sender sends while the doctor listened would be lost."""
    subject, host, fault = f"camera {name}", source.listens()[0], source.problem()
    if fault is not None:
        return problem(subject, fault, f"correct the source of {name} in the settings, or install its extra")
    try:
        with socket.create_server((host.name, host.port), family=_family(host.name)):
            return ok(subject, f"{host.name} port {host.port} is free for senders")
    except OSError as error:
        text = f"{host.name} port {host.port} cannot be opened: {os.strerror(error.errno or 0)}"
        return problem(subject, text, source.remedy())


def _check_stream(name: str, source: CameraSourceSettings) -> Iterator[CheckResult]:
    """What decodes an RTSP camera, and whether its frames wait for later ones; opens the stream once more."""
    subject = f"camera {name}"
    if source.decoder == "gstreamer":
        how = "by the hardware of NVIDIA" if by_hardware() else "in software, since there is no nvv4l2decoder"
        yield ok(subject, f"GStreamer decodes it {how}")
    if sends_b_frames(source):
        text = "sends B-frames, so each frame comes 0.2 to 0.5 s late: later ones are needed to decode it"
        yield warning(subject, text, "switch B-frames off in the camera, or choose the profile Baseline")


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _read_camera(name: str, camera: CameraSettings, max_seconds: float, first_frame_seconds: float) -> CheckResult:
    subject, prepared = f"camera {name}", None
    try:
        sample = _sample(camera, max_seconds, first_frame_seconds)
        with suppress(EngineError):  # check_bundles reports a bundle that cannot be read
            prepared = _prepared(camera, sample.image)
        presence = presence_meter_of(camera)
        if presence is not None:
            presence(sample.image)
    except _NoFrame as silence:
        return ok(subject, str(silence))
    except EndOfStream:
        return problem(subject, "the source is empty, wanted at least one frame", camera.source.remedy())
    except InspectdError as error:
        return problem(subject, str(error), camera.source.remedy())
    wanted, got = camera.source.frames_per_second, sample.frames_per_second
    if wanted is not None and got is not None and got < LOWEST_RATE * wanted:
        text = f"{sample}, wanted {wanted:g} frames/s"
        return warning(subject, text, "shorten the exposure, choose a smaller image, or lower frames_per_second")
    if prepared is not None and prepared.not_found is not None:
        remedy = "put a part under the camera; if there is one, see docs/training.md, Parts that lie anyhow"
        return warning(subject, f"{sample}; {prepared.not_found}", remedy)
    found = "" if prepared is None or prepared.pose is None else f"; a part is {prepared.pose}"
    return ok(subject, f"{sample}{found}")


def _prepared(camera: CameraSettings, image: Image) -> PreparedImage:
    """An image on its way into the camera's model. Raises InspectdError where it does not fit, EngineError without a
    bundle."""
    bundle = read_bundle(camera.bundle)
    crop, view = inspected_view(camera, bundle)
    return Preparation(bundle.geometry, crop, view=view)(image)


def _sample(camera: CameraSettings, max_seconds: float, first_frame_seconds: float) -> Sample:
    """Read for a moment. Raises InspectdError, or EndOfStream if the source has no frame at all."""
    with tempfile.TemporaryDirectory() as quarantine:
        source = build_source(camera.source, quarantine_directory=Path(quarantine) / "quarantine")
        with source:
            return _read(source, max_seconds, first_frame_seconds)


def _read(source: FrameSource, max_seconds: float, first_frame_seconds: float) -> Sample:
    """Read on a thread of its own: a folder may wait for its next file for ever, and is given up with that thread."""
    arrived: Queue[Captured | Exception] = Queue()
    enough = threading.Event()
    threading.Thread(target=_deliver, args=(source, arrived, enough), name="doctor-read", daemon=True).start()
    try:
        image = _next(arrived, first_frame_seconds).image
    except Empty:
        raise _NoFrame(f"{source.describe()} can be read; nothing new within {first_frame_seconds:g} s") from None
    started, frames = time.monotonic(), 0
    with suppress(EndOfStream, Empty):
        while frames < SAMPLE_FRAMES and (left := started + max_seconds - time.monotonic()) > 0:
            image = _next(arrived, left).image
            frames += 1
    enough.set()
    seconds = time.monotonic() - started
    return Sample(image, frames / seconds if source.live and frames else None)


def _deliver(source: FrameSource, arrived: Queue[Captured | Exception], enough: threading.Event) -> None:
    try:
        while not enough.is_set():
            # A camera with a software trigger gives nothing without.
            source.trigger(time.monotonic())
            arrived.put(source.read())
    except Exception as error:
        arrived.put(error)


def _next(arrived: Queue[Captured | Exception], seconds: float) -> Captured:
    """The next frame. Raises the source's error, or Empty where nothing came in time."""
    found = arrived.get(timeout=seconds)
    if isinstance(found, Exception):
        raise found
    return found


class _NoFrame(Exception):
    """The source can be read and has no frame at the moment; `str()` is one line for the user."""
