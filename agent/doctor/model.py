"""Checks of bundles and engines: verified, opened, and fast enough for the camera."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.finding import CheckResult, ok, problem, warning
from agent.inspection import thresholds_in_force
from agent.settings import CameraSettings, Settings
from engines.bundles import Bundle, load_trusted_keys, read_bundle
from engines.errors import EngineError, SigningError
from engines.runtime import Engine, open_engine

# Frames scored to time an engine, after the reference frames have warmed it up.
TIMED_FRAMES = 5

# Above this share of the time between two frames, the engine has no room for the rest of the work.
BUSY = 0.8


def check_bundles(settings: Settings) -> Iterator[CheckResult]:
    """Every file of every bundle has the sha256 of its manifest, which a trusted key has signed, where one is set."""
    try:
        trusted = load_trusted_keys(settings.trusted_keys)
    except SigningError as error:
        yield problem("trusted keys", str(error), "inspectd bundle keygen NAME; give NAME.pub in trusted_keys")
        return
    for path in sorted({camera.bundle for camera in settings.cameras.values()}):
        try:
            bundle = read_bundle(path, trusted=trusted)
        except EngineError as error:
            sign = "" if trusted is None else f"; where the key is: inspectd bundle sign {path.name} --key NAME.key"
            yield problem(f"bundle {path.name}", str(error), f"copy it again: cp -r {path.name} {path.parent}/{sign}")
        else:
            geometry = bundle.geometry
            size = f"{geometry.width}×{geometry.height}×{geometry.channels}, {geometry.bit_depth} bit"
            signed = "" if bundle.signed_by is None else f", signed by {bundle.signed_by}"
            yield ok(f"bundle {path.name}", f"{bundle.manifest.name}, {size}, every file as in its manifest{signed}")


def check_engines(settings: Settings) -> Iterator[CheckResult]:
    """Each engine opens on its bundle, gives the reference scores, and keeps up with the fastest of its cameras."""
    pairs: dict[tuple[Path, str], list[CameraSettings]] = {}
    for camera in settings.cameras.values():
        pairs.setdefault((camera.bundle, camera.engine), []).append(camera)
    for (path, name), cameras in pairs.items():
        try:
            bundle = read_bundle(path)
        except EngineError:
            continue  # told of by check_bundles
        rate = sum(camera.source.frames_per_second or 0.0 for camera in cameras)
        yield _engine(bundle, name, rate, settings)


def _engine(bundle: Bundle, name: str, frames_per_second: float, settings: Settings) -> CheckResult:
    subject = f"engine {name}"
    threads, directory = settings.inference_threads, settings.state_directory
    thresholds = thresholds_in_force(settings, bundle.sha256)
    try:
        with open_engine(bundle, name, threads=threads, directory=directory, thresholds=thresholds) as engine:
            seconds = _seconds_per_frame(engine)
            subject = f"engine {engine.name}"
    except EngineError as error:
        return problem(subject, str(error), "pip install --force-reinstall inspectd; or another engine in the settings")
    text = f"reproduces the reference scores, {seconds * 1e3:.1f} ms a frame"
    load = seconds * frames_per_second
    if load > BUSY:
        asked = f"{frames_per_second:g} frames/s take {load:.0%} of its time"
        return warning(
            subject, f"{text}; {asked}", "a lower frames_per_second, or a smaller model (inspectd train --size)"
        )
    return ok(subject, text)


def _seconds_per_frame(engine: Engine) -> float:
    """The median of a few single frames, seconds."""
    frame = engine.bundle.reference().frames[:1]
    durations = []
    for _ in range(TIMED_FRAMES):
        started = time.perf_counter()
        engine.score(frame)
        durations.append(time.perf_counter() - started)
    return sorted(durations)[TIMED_FRAMES // 2]
