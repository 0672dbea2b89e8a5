"""Measures every engine and a float32 GEMM in turns, so that other load on the machine affects all of them.

Ratios are computed within a round.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from agent.tools.bench import noise_frames
from benchmarks.engines.flops import gemm_gflops, operations_per_frame
from engines.backends import BACKENDS, Hardware
from engines.bundles import MODEL, Bundle, Frames
from engines.errors import EngineError
from engines.runtime import Engine, open_engine

ENGINES = tuple(name for name, backend in BACKENDS.items() if backend.hardware is Hardware.CPU)
BATCHES = (1, 8)
ROUNDS = 9

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Row:
    """One engine with one batch size."""

    engine: str
    detail: str
    batch: int
    frames_per_second: float
    p50_milliseconds: float
    """Of one call."""
    p99_milliseconds: float
    """Of one call."""
    gflops: float
    of_gemm: float
    """Rate relative to the GEMM's, within a round."""
    of_best: float
    """Rate relative to the fastest engine's, within a round."""


def measure(
    bundle: Bundle, seconds: float, *, threads: int | None = None, clock: Clock = time.perf_counter
) -> list[Row]:
    """Measure every engine with every batch size in turns, `seconds` each in total by this clock."""
    frames = np.stack(noise_frames(bundle))
    work = operations_per_frame(bundle.read(MODEL)) / 1e9
    with ExitStack() as stack:
        engines = [stack.enter_context(engine) for engine in _open(bundle, threads)]
        return [row for batch in BATCHES for row in _measure(engines, frames, batch, work, seconds, clock)]


def _open(bundle: Bundle, threads: int | None) -> list[Engine]:
    engines = []
    for name in ENGINES:
        try:
            engines.append(open_engine(bundle, name, threads=threads))
        except EngineError as error:
            sys.stderr.write(f"excluded: {error}\n")
    return engines


def _measure(engines: list[Engine], frames: Frames, batch: int, work: float, seconds: float, clock: Clock) -> list[Row]:
    durations: dict[str, list[float]] = {engine.name: [] for engine in engines}
    rates, gemm = {engine.name: np.zeros(ROUNDS) for engine in engines}, np.zeros(ROUNDS)
    for round_ in range(ROUNDS):
        gemm[round_] = gemm_gflops(0.5, clock)
        for engine in engines:
            taken = _calls(engine, frames, batch, seconds / ROUNDS, clock)
            durations[engine.name] += taken
            rates[engine.name][round_] = batch * len(taken) / sum(taken)
    best = np.max(list(rates.values()), axis=0)
    return [
        Row(
            engine.name,
            engine.detail,
            batch,
            float(np.median(rates[engine.name])),
            *(float(1e3 * np.percentile(durations[engine.name], percent)) for percent in (50, 99)),
            gflops=float(np.median(rates[engine.name]) * work),
            of_gemm=float(np.median(rates[engine.name] * work / gemm)),
            of_best=float(np.median(rates[engine.name] / best)),
        )
        for engine in engines
    ]


def _calls(engine: Engine, frames: Frames, batch: int, seconds: float, clock: Clock) -> list[float]:
    """Durations of calls in seconds, after two warm-up calls."""
    for _ in range(2):
        engine.score(frames[:batch])
    taken, end, at = [], clock() + seconds, 0
    while (start := clock()) < end:
        engine.score(frames[at : at + batch])
        taken.append(clock() - start)
        at = (at + batch) % (len(frames) - batch + 1)
    return taken
