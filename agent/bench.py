"""Engine alone, and the whole loop, on the same frames: what the house around the engine costs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from agent.alarm import AlarmTracker
from agent.camera_health import CameraHealth
from agent.capture import Capture
from agent.inspection import Inspection
from agent.inspector import Inspector
from agent.intake import Intake
from agent.latency import Durations
from agent.outcome import Outcome
from agent.payloads import LatencyPayload
from agent.places import default_state_directory
from agent.plan import Identity, Plan
from agent.preparation import Preparation
from agent.records import Image
from agent.settings import load
from agent.sources.source import Captured, EndOfStream, FrameSource
from agent.station import Station
from calibration import Budget, Rule, Store
from engines.bundle import Bundle, read_bundle
from engines.engine import Engine, open_engine
from engines.selection import Choice, choose, remember

# Frames that are shown over and over: enough that no cache holds them all at 256 px and above.
DISTINCT_FRAMES = 64

WARM_UP_FRAMES = 20

# The station settles for 20 frames and calibrates on 50: a machine that is too busy for that in the time takes longer.
LEAST_FRAMES = 100


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Both rates and the latencies of the loop."""

    bundle: str
    engine: str
    input: str
    engine_frames_per_second: float
    loop_frames_per_second: float
    loop_over_engine: float
    engine_ms: LatencyPayload
    """One call of the engine with one frame."""
    capture_to_verdict_ms: LatencyPayload
    """At the loop's full rate: frames wait in the intake."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "engine_ms": self.engine_ms.model_dump(),
            "capture_to_verdict_ms": self.capture_to_verdict_ms.model_dump(),
        }

    def __str__(self) -> str:
        """For people."""
        rows = (
            ("engine alone", self.engine_frames_per_second, self.engine_ms, "a call"),
            ("whole loop", self.loop_frames_per_second, self.capture_to_verdict_ms, "capture to verdict"),
        )
        lines = [
            f"{name:<14}{rate:8.1f} frames/s   p50 {ms.p50:.2f}  p95 {ms.p95:.2f}  p99 {ms.p99:.2f} ms {what}"
            for name, rate, ms, what in rows
        ]
        head = f"{self.bundle} on {self.engine}, input {self.input}"
        return "\n".join([head, *lines, f"{'loop / engine':<14}{self.loop_over_engine:8.3f}"])


def bench(bundle_path: Path, *, engine_name: str, seconds: float, rounds: int = 3) -> BenchResult:
    """Run both in turns, `rounds` times, for `seconds` each in all; the medians are compared.

    In turns, because a machine that is shared is faster at one moment than at the next.
    """
    bundle = read_bundle(bundle_path)
    frames = noise_frames(bundle)
    engine_durations, loop_durations = Durations(), Durations()
    with open_engine(bundle, engine_name, directory=default_state_directory()) as engine:
        engine_rates, loop_rates = [], []
        for _ in range(rounds):
            engine_rates.append(_engine_rate(engine, frames, seconds / rounds, engine_durations.add))
            loop_rates.append(_loop_rate(engine, frames, seconds / rounds, loop_durations.add))
        ratio = float(np.median(np.array(loop_rates) / np.array(engine_rates)))
        engine_ms, loop_ms = engine_durations.payload(), loop_durations.payload()
        assert engine_ms is not None
        assert loop_ms is not None
        return BenchResult(
            bundle=bundle.manifest.name,
            engine=engine.name,
            input=str(bundle.geometry),
            engine_frames_per_second=round(float(np.median(engine_rates)), 2),
            loop_frames_per_second=round(float(np.median(loop_rates)), 2),
            loop_over_engine=round(ratio, 4),
            engine_ms=engine_ms,
            capture_to_verdict_ms=loop_ms,
        )


def compare_engines(bundle_path: Path, config: Path | None, *, seconds: float) -> Choice:
    """Measure the engines of this machine for `seconds` each; `config`: for that agent's `auto`, and with its threads.

    An agent that runs goes on with the engine that it has.
    """
    settings = None if config is None else load(config)
    threads = None if settings is None else settings.inference_threads
    directory = default_state_directory() if settings is None else settings.state_directory
    choice = choose(read_bundle(bundle_path), threads=threads, directory=directory, seconds=seconds)
    if settings is not None:
        remember(directory, choice)
    return choice


def noise_frames(bundle: Bundle) -> list[Image]:
    """The bundle's own reference frames with fresh noise: frames of the kind that the model knows, all different."""
    reference = bundle.reference().frames
    chance = np.random.default_rng(0)
    top = np.iinfo(reference.dtype).max
    frames = []
    for i in range(DISTINCT_FRAMES):
        frame = reference[i % len(reference)].astype(np.float32)
        noisy = frame + chance.normal(0.0, 0.005 * top, frame.shape)
        frames.append(np.clip(noisy, 0, top).astype(reference.dtype))
    return frames


def _engine_rate(engine: Engine, frames: list[Image], seconds: float, note: Callable[[float], None]) -> float:
    for frame in frames[:WARM_UP_FRAMES]:
        engine.score(frame[np.newaxis])
    count, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        engine.score(frames[count % len(frames)][np.newaxis])
        note(time.perf_counter() - now)
        count += 1
    return count / (time.perf_counter() - start)


def _loop_rate(engine: Engine, frames: list[Image], seconds: float, note: Callable[[float], None]) -> float:
    """Capture thread, intake, inspection thread, station: as in the service, armed, without alarms."""
    done: list[float] = []

    def take(outcome: Outcome) -> None:
        done.append(time.perf_counter())
        if outcome.verdict is not None:
            note(time.monotonic() - outcome.frame.captured_monotonic)

    with tempfile.TemporaryDirectory() as directory:
        station = _station(engine, Path(directory))
        intake = Intake()
        intake.add_camera("bench", live=False)
        source = _Repeated(frames, seconds)
        capture = Capture("bench", source, intake, Preparation(engine.bundle.geometry))
        inspection = Inspection("bench", intake, Inspector(engine, {"bench": station}), take)
        inspection.start()
        capture.start()
        capture.join()
        intake.close()
        inspection.join()
    return (len(done) - WARM_UP_FRAMES) / (done[-1] - done[WARM_UP_FRAMES - 1])


def _station(engine: Engine, directory: Path) -> Station:
    """One that arms after the shortest window, with a threshold that nothing reaches."""
    plan = Plan(
        frames=50,
        max_frames=50,
        budget=Budget.parse("1 per week"),
        rule=Rule(1, 1),
        confidence=0.95,
        require_certificate=False,
        clear_after_seconds=1.0,
        frames_per_second=1000.0,
    )
    return Station(
        Identity("bench", engine.bundle.sha256, engine.name),
        plan,
        Store(directory),
        AlarmTracker("bench", 1.0, lambda: "bench"),
        CameraHealth("bench", lambda: "bench"),
        now=lambda: datetime.now(timezone.utc),
    )


class _Repeated(FrameSource):
    """The same frames over and over, as fast as they are taken, for some seconds; enough of them on a slow machine."""

    live = False

    def __init__(self, frames: list[Image], seconds: float) -> None:
        super().__init__()
        self._frames = frames
        self._seconds = seconds
        self._count = 0

    def describe(self) -> str:
        return "bench"

    def _open(self) -> None:
        self._end = time.monotonic() + self._seconds

    def _read(self) -> Captured:
        now = time.monotonic()
        if now > self._end and self._count >= LEAST_FRAMES:
            raise EndOfStream
        self._count += 1
        return Captured(self._frames[self._count % len(self._frames)], datetime.now(timezone.utc), now)

    def _close(self) -> None:
        return
