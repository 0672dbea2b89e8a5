"""Speed of the engine alone and of the whole loop on the same frames: the difference is the cost of the agent."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent.core.durations import Durations
from agent.core.records import Image
from agent.messages import LatencyPayload
from agent.settings import default_state_directory, load_settings
from agent.tools.bench_loop import MIN_FRAMES, WARM_UP_FRAMES, BenchLoop
from engines.bundles import Bundle, read_bundle
from engines.runtime import Choice, Engine, choose_engine, open_engine, remember

# Frames shown over and over: from 256 pixels a side on, no cache holds them all.
DISTINCT_FRAMES = 64

# Engine and loop take turns, each for this time: a shared machine is faster at one moment than at the next.
ROUND_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Both rates, and the latencies."""

    bundle: str
    engine: str
    input: str
    engine_frames_per_second: float
    loop_frames_per_second: float
    loop_over_engine: float
    """Median of the ratio of the two rates, turn by turn."""
    engine_ms: LatencyPayload
    """One call of the engine with one frame."""
    capture_to_verdict_ms: LatencyPayload
    """At the loop's full rate, with frames waiting in the queue."""
    expected_ms: float | None = None
    """What a frame took where the model was trained; None in bundles of earlier versions."""
    budget_ms: float | None = None
    """What it may take, as asked for in training."""

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
        return "\n".join([head, *lines, f"{'loop / engine':<14}{self.loop_over_engine:8.3f}", *self._budget_lines()])

    def _budget_lines(self) -> list[str]:
        if self.budget_ms is None or self.expected_ms is None:
            return []
        kept = "kept" if self.engine_ms.p95 <= self.budget_ms else "not kept"
        return [
            f"{'frame budget':<14}{self.budget_ms:8.1f} ms {kept} (p95); in training it was {self.expected_ms:.1f} ms"
        ]


def run_bench(bundle_path: Path, *, engine_name: str, seconds: float) -> BenchResult:
    """Run engine and loop in turns, each for `seconds` in total, and compare the medians of their rates."""
    bundle = read_bundle(bundle_path)
    frames = noise_frames(bundle)
    durations = Durations()
    with (
        open_engine(bundle, engine_name, directory=default_state_directory()) as engine,
        tempfile.TemporaryDirectory() as directory,
        BenchLoop(engine, frames, Path(directory)) as loop,
    ):
        turns = [
            (_engine_rate(engine, frames, ROUND_SECONDS, durations.add), loop.rate(ROUND_SECONDS))
            for _ in range(max(1, round(seconds / ROUND_SECONDS)))
        ]
        engine_ms, loop_ms = LatencyPayload.of(durations), LatencyPayload.of(loop.durations)
    assert engine_ms is not None
    assert loop_ms is not None
    engine_rates, loop_rates = np.array(turns).T
    training = bundle.manifest.training
    known = None if training is None else training.frame_time
    return BenchResult(
        bundle=bundle.manifest.name,
        engine=engine.name,
        input=str(bundle.geometry),
        engine_frames_per_second=round(float(np.median(engine_rates)), 2),
        loop_frames_per_second=round(float(np.median(loop_rates)), 2),
        loop_over_engine=round(float(np.median(loop_rates / engine_rates)), 4),
        engine_ms=engine_ms,
        capture_to_verdict_ms=loop_ms,
        expected_ms=None if known is None else known.milliseconds,
        budget_ms=None if known is None else known.budget_milliseconds,
    )


def fastest_engine(bundle_path: Path, config: Path | None, *, seconds: float) -> Choice:
    """Measure each engine of this machine for `seconds`.

    `config` is the settings file of an agent: its threads and state directory are used, and the result is saved for
    its `auto`. A running agent keeps its engine until it restarts.
    """
    settings = None if config is None else load_settings(config)
    threads = None if settings is None else settings.inference_threads
    directory = default_state_directory() if settings is None else settings.state_directory
    choice = choose_engine(read_bundle(bundle_path), threads=threads, directory=directory, seconds=seconds)
    if settings is not None:
        remember(directory, choice)
    return choice


def noise_frames(bundle: Bundle) -> list[Image]:
    """The bundle's reference frames with fresh noise, all different: `DISTINCT_FRAMES` of dtype and shape [H, W, C]."""
    reference = bundle.reference().frames
    random = np.random.default_rng(0)
    top = np.iinfo(reference.dtype).max
    frames = []
    for i in range(DISTINCT_FRAMES):
        frame = reference[i % len(reference)].astype(np.float32)
        noisy = frame + random.normal(0.0, 0.005 * top, frame.shape)
        frames.append(np.clip(noisy, 0, top).astype(reference.dtype))
    return frames


def _engine_rate(engine: Engine, frames: list[Image], seconds: float, record: Callable[[float], None]) -> float:
    """Frames per second of single-frame calls; `record` takes the duration of each, seconds."""
    for frame in frames[:WARM_UP_FRAMES]:
        engine.score(frame[np.newaxis])
    count, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds or count < MIN_FRAMES:
        engine.score(frames[count % len(frames)][np.newaxis])
        record(time.perf_counter() - now)
        count += 1
    return count / (time.perf_counter() - start)
