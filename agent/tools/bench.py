"""Speed of the engine alone and of the whole loop on the same frames: the difference is the cost of the agent."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.core.durations import Durations
from agent.core.records import Image
from agent.messages import LatencyPayload
from agent.settings import Settings, default_state_directory
from agent.tools.bench_loop import MIN_FRAMES, WARM_UP_FRAMES, BenchLoop
from engines.bundles import Alignment, Bundle, read_bundle
from engines.images import inspect
from engines.runtime import Choice, Engine, choose_engine, open_engine, remember

# Frames shown over and over: from 256 pixels a side on, no cache holds them all.
DISTINCT_FRAMES = 64

# Images whose parts are looked for.
ALIGNED_IMAGES = 40

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
    alignment_ms: LatencyPayload | None = None
    """Finding a part and cutting it out upright, beside the engine; None for a bundle without alignment."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "engine_ms": self.engine_ms.model_dump(),
            "capture_to_verdict_ms": self.capture_to_verdict_ms.model_dump(),
            "alignment_ms": None if self.alignment_ms is None else self.alignment_ms.model_dump(),
        }

    def __str__(self) -> str:
        """For people."""
        alone, loop, aligned = self.engine_ms, self.capture_to_verdict_ms, self.alignment_ms
        lines = [
            f"{self.bundle} on {self.engine}, input {self.input}",
            _line("engine alone", self.engine_frames_per_second, alone, "a call"),
            _line("whole loop", self.loop_frames_per_second, loop, "capture to verdict"),
            f"{'loop / engine':<14}{self.loop_over_engine:8.3f}",
        ]
        if aligned is not None:
            lines.append(_line("alignment", 1000.0 / aligned.p50, aligned, "a part, beside the engine"))
        return "\n".join([*lines, *self._budget_lines()])

    def _budget_lines(self) -> list[str]:
        if self.budget_ms is None or self.expected_ms is None:
            return []
        kept = "kept" if self.engine_ms.p95 <= self.budget_ms else "not kept"
        return [
            f"{'frame budget':<14}{self.budget_ms:8.1f} ms {kept} (p95); in training it was {self.expected_ms:.1f} ms"
        ]


def _line(name: str, rate: float, ms: LatencyPayload, what: str) -> str:
    return f"{name:<14}{rate:8.1f} frames/s   p50 {ms.p50:.2f}  p95 {ms.p95:.2f}  p99 {ms.p99:.2f} ms {what}"


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
        alignment_ms=_alignment_ms(bundle),
    )


def fastest_engine(bundle_path: Path, settings: Settings | None, *, seconds: float) -> Choice:
    """Measure each engine of this machine for `seconds`.

    `settings` are those of an agent: its threads and state directory are used, and the result is saved for
    its `auto`. A running agent keeps its engine until it restarts.
    """
    threads = None if settings is None else settings.inference_threads
    directory = default_state_directory() if settings is None else settings.state_directory
    choice = choose_engine(read_bundle(bundle_path), threads=threads, directory=directory, seconds=seconds)
    if settings is not None:
        remember(directory, choice)
    return choice


def _alignment_ms(bundle: Bundle) -> LatencyPayload | None:
    """How long the search for a part takes, of images with the taught region at a few places."""
    view = bundle.manifest.view
    if view is None or view.alignment is None:
        return None
    durations = Durations()
    for image in images_to_align(bundle, view.alignment):
        begun = time.perf_counter()
        inspect(image, view)
        durations.add(time.perf_counter() - begun)
    return LatencyPayload.of(durations)


def images_to_align(bundle: Bundle, alignment: Alignment) -> Iterator[Image]:
    """Images of the size of the taught one, [H, W, C]: its region on noise, moved by up to half of the limit."""
    random, geometry, region = np.random.default_rng(0), bundle.geometry, alignment.region
    taught = cv2.resize(alignment.pixels(), (region.width, region.height), interpolation=cv2.INTER_LINEAR)
    scale = np.iinfo(geometry.dtype).max / 255.0
    for share in np.linspace(-0.5, 0.5, ALIGNED_IMAGES):
        scene = random.normal(float(taught.mean()), 10.0, (alignment.height, alignment.width))
        x, y = (
            int(np.clip(start + share * alignment.limits.max_shift_pixels, 0, side - size))
            for start, size, side in (
                (region.x, region.width, alignment.width),
                (region.y, region.height, alignment.height),
            )
        )
        scene[y : y + region.height, x : x + region.width] = taught
        levels = (scene.clip(0.0, 255.0) * scale).astype(geometry.dtype)
        yield np.repeat(levels[:, :, None], geometry.channels, axis=2)


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
