"""Engine alone, and the whole loop, on the same frames: what the house around the engine costs."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from agent.alarms import CameraAlarm, DefectAlarm
from agent.core.durations import Durations
from agent.core.errors import Permanent
from agent.core.records import Image, Phase
from agent.inspection import (
    CalibrationKey,
    CalibrationPlan,
    Capture,
    FrameQueue,
    InspectionThread,
    Inspector,
    Outcome,
    Preparation,
    Station,
)
from agent.messages import LatencyPayload
from agent.settings import default_state_directory, load_settings
from agent.sources import Captured, FrameSource
from calibration import Budget, Rule, Store
from engines.bundles import Bundle, read_bundle
from engines.runtime import Choice, Engine, choose, open_engine, remember

# Frames that are shown over and over: enough that no cache holds them all at 256 px and above.
DISTINCT_FRAMES = 64

# Engine and loop take turns of this length, and of so many frames at least where the machine is slow.
TURN_SECONDS = 0.5
LEAST_FRAMES = 10

# The window takes 70 frames; one that is refused is followed by another.
MOST_FRAMES_TO_ARM = 2_000

# What a turn begins with is not counted: threads wake, caches fill.
WARM_UP_FRAMES = 10


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


def bench(bundle_path: Path, *, engine_name: str, seconds: float) -> BenchResult:
    """Run both in turns for `seconds` each in all, half a second at a time; the medians are compared.

    In short turns, because a machine that is shared is faster at one moment than at the next.
    """
    bundle = read_bundle(bundle_path)
    frames = noise_frames(bundle)
    durations = Durations()
    with (
        open_engine(bundle, engine_name, directory=default_state_directory()) as engine,
        tempfile.TemporaryDirectory() as directory,
        _Loop(engine, frames, Path(directory)) as loop,
    ):
        turns = [
            (_engine_rate(engine, frames, TURN_SECONDS, durations.add), loop.rate(TURN_SECONDS))
            for _ in range(max(1, round(seconds / TURN_SECONDS)))
        ]
        engine_ms, loop_ms = LatencyPayload.of(durations), LatencyPayload.of(loop.durations)
    assert engine_ms is not None
    assert loop_ms is not None
    engine_rates, loop_rates = np.array(turns).T
    return BenchResult(
        bundle=bundle.manifest.name,
        engine=engine.name,
        input=str(bundle.geometry),
        engine_frames_per_second=round(float(np.median(engine_rates)), 2),
        loop_frames_per_second=round(float(np.median(loop_rates)), 2),
        loop_over_engine=round(float(np.median(loop_rates / engine_rates)), 4),
        engine_ms=engine_ms,
        capture_to_verdict_ms=loop_ms,
    )


def fastest_engine(bundle_path: Path, config: Path | None, *, seconds: float) -> Choice:
    """Measure the engines of this machine for `seconds` each; `config`: for that agent's `auto`, and with its threads.

    An agent that runs goes on with the engine that it has.
    """
    settings = None if config is None else load_settings(config)
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
    while (now := time.perf_counter()) - start < seconds or count < LEAST_FRAMES:
        engine.score(frames[count % len(frames)][np.newaxis])
        note(time.perf_counter() - now)
        count += 1
    return count / (time.perf_counter() - start)


class _Loop:
    """Capture thread, intake, inspection thread, station: as in the service, armed, no alarms; it can be halted."""

    def __init__(self, engine: Engine, frames: list[Image], directory: Path) -> None:
        self.durations = Durations()
        """From capture to verdict."""
        self._done: list[float] = []
        self._station = _station(engine, directory)
        self._intake = FrameQueue()
        self._intake.add_camera("bench", live=False)
        self._source = _Repeated(frames)
        self._capture = Capture("bench", self._source, self._intake, Preparation(engine.bundle.geometry))
        self._inspection = InspectionThread(
            "bench", self._intake, Inspector(engine, {"bench": self._station}), self._take
        )

    def __enter__(self) -> _Loop:
        self._inspection.start()
        self._capture.start()
        while self._station.phase is not Phase.ARMED:
            # Looked at before a turn: a fast machine is past this number, and armed, after the first one.
            if len(self._done) > MOST_FRAMES_TO_ARM:
                self.__exit__()
                raise Permanent(f"the loop does not arm on the bundle's reference frames: {self._station.reason}")
            self._let_run(TURN_SECONDS, least_frames=1)
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.stop()
        self._source.go.set()
        self._intake.close()
        self._capture.join()
        self._inspection.join()

    def rate(self, seconds: float) -> float:
        """Frames a second that were judged while it ran for so long."""
        done = self._let_run(seconds, least_frames=WARM_UP_FRAMES + LEAST_FRAMES)[WARM_UP_FRAMES:]
        return (len(done) - 1) / (done[-1] - done[0])

    def _let_run(self, seconds: float, *, least_frames: int) -> list[float]:
        """Let frames through for so long, and for so many; when each was judged, seconds of `perf_counter`."""
        first, end = len(self._done), time.perf_counter() + seconds
        self._source.go.set()
        while time.perf_counter() < end or len(self._done) < first + least_frames:
            self._wait()
        self._source.go.clear()
        judged = self._done[first:]
        while self._source.reads > len(self._done):
            self._wait()
        return judged

    def _wait(self) -> None:
        if not (self._capture.is_alive() and self._inspection.is_alive()):
            raise Permanent("the loop ended before its time; see the log")
        time.sleep(0.01)

    def _take(self, outcome: Outcome) -> None:
        self._done.append(time.perf_counter())
        if outcome.verdict is not None:
            self.durations.add(time.monotonic() - outcome.frame.captured_monotonic)


def _station(engine: Engine, directory: Path) -> Station:
    """One that arms after the shortest window, with a threshold that nothing reaches."""
    plan = CalibrationPlan(
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
        CalibrationKey("bench", engine.bundle.sha256, engine.name),
        plan,
        Store(directory),
        DefectAlarm("bench", 1.0, lambda: "bench"),
        CameraAlarm("bench", lambda: "bench"),
        now=lambda: datetime.now(timezone.utc),
    )


class _Repeated(FrameSource):
    """The same frames over and over, as fast as they are taken, while it is let go."""

    live = False

    def __init__(self, frames: list[Image]) -> None:
        super().__init__()
        self.go = threading.Event()
        self.reads = 0
        """Frames that were handed out."""
        self._frames = frames

    def describe(self) -> str:
        return "bench"

    def _open(self) -> None:
        return

    def _read(self) -> Captured:
        self.go.wait()
        self.reads += 1
        image = self._frames[self.reads % len(self._frames)]
        return Captured(image, datetime.now(timezone.utc), time.monotonic())

    def _close(self) -> None:
        return
