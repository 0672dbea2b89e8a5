"""Checks bundles and engines: verified, opened, and fast enough for the cameras."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from agent.core.errors import InspectdError
from agent.doctor.check_result import CheckResult, ok, problem, warning
from agent.inspection import inspected_view, thresholds_in_force
from agent.settings import CameraSettings, Settings
from engines.bundles import Bundle, load_trusted_keys, read_bundle
from engines.errors import EngineError, SigningError
from engines.runtime import Engine, open_engine

# Frames scored to time an engine, after the reference frames have warmed it up.
TIMED_FRAMES = 5

# With a larger share of the time between two frames, the engine leaves no room for the rest of the work.
MAX_LOAD = 0.8


def check_bundles(settings: Settings) -> Iterator[CheckResult]:
    """Each file of each bundle has the sha256 of its manifest; with trusted keys, one of them signed the manifest."""
    try:
        trusted = load_trusted_keys(settings.trusted_keys)
    except SigningError as error:
        yield problem("trusted keys", str(error), "inspectd bundle keygen NAME; then list NAME.pub under trusted_keys")
        return
    for path in sorted({bundle for camera in settings.cameras.values() for bundle in camera.bundles}):
        subject = f"bundle {path.name}"
        try:
            bundle = read_bundle(path, trusted=trusted)
        except EngineError as error:
            sign = "" if trusted is None else f"; where the key is: inspectd bundle sign {path.name} --key NAME.key"
            yield problem(subject, str(error), f"copy the bundle again: cp -r {path.name} {path.parent}/{sign}")
        else:
            yield ok(subject, _describe(bundle))


def _describe(bundle: Bundle) -> str:
    geometry = bundle.geometry
    size = f"{geometry.width}×{geometry.height}×{geometry.channels}, {geometry.bit_depth} bit"
    signed = "" if bundle.signed_by is None else f", signed by {bundle.signed_by}"
    return f"{bundle.manifest.name}, {size}, every file matches the manifest{signed}"


def check_corrections(settings: Settings) -> Iterator[CheckResult]:
    """Detector corrections can be read, and are of the detectors that the bundles were trained with."""
    for name, camera in settings.cameras.items():
        subject = f"correction {name}"
        try:
            view = inspected_view(camera, read_bundle(camera.bundle))[1]
        except EngineError:
            continue  # reported by check_bundles
        except InspectdError as error:
            if camera.correction is not None:
                yield problem(
                    subject, str(error), "inspectd xray calibrate --dark DIR --flat DIR --out FILE --renew OLD"
                )
            continue
        if view is not None and view.correction is not None:
            yield ok(subject, str(view.correction))


def check_engines(settings: Settings) -> Iterator[CheckResult]:
    """Each engine opens its bundle, reproduces the reference scores, and keeps up with all cameras that share it."""
    pairs: dict[tuple[Path, str], list[CameraSettings]] = {}
    setups = [each.of_product(name) for each in settings.cameras.values() for name in each.products or [None]]
    for camera in setups:
        pairs.setdefault((camera.bundle, camera.engine), []).append(camera)
    for (path, name), cameras in pairs.items():
        try:
            bundle = read_bundle(path)
        except EngineError:
            continue  # reported by check_bundles
        rate = sum(camera.source.frames_per_second or 0.0 for camera in cameras)
        yield _check_engine(bundle, name, rate, settings)


def _check_engine(bundle: Bundle, name: str, frames_per_second: float, settings: Settings) -> CheckResult:
    subject = f"engine {name}"
    threads, directory = settings.inference_threads, settings.state_directory
    thresholds = thresholds_in_force(settings, bundle.sha256)
    try:
        with open_engine(bundle, name, threads=threads, directory=directory, thresholds=thresholds) as engine:
            seconds = _seconds_per_frame(engine)
            subject = f"engine {engine.name}"
    except EngineError as error:
        fix = "pip install --force-reinstall inspectd, or set another engine"
        return problem(subject, str(error), fix)
    text = f"reproduces the reference scores, {seconds * 1e3:.1f} ms per frame"
    load = seconds * frames_per_second
    if load > MAX_LOAD:
        text = f"{text}; {frames_per_second:g} frames/s take {load:.0%} of its time"
        return warning(subject, text, "lower frames_per_second, or train a smaller model (inspectd train --size)")
    return ok(subject, text)


def _seconds_per_frame(engine: Engine) -> float:
    """The median time of a few single frames, seconds."""
    frame = engine.bundle.reference().frames[:1]
    durations = []
    for _ in range(TIMED_FRAMES):
        started = time.perf_counter()
        engine.score(frame)
        durations.append(time.perf_counter() - started)
    return sorted(durations)[TIMED_FRAMES // 2]
