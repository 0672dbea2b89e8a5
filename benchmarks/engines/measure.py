"""Every engine and a float32 GEMM in turns, so that what else the machine does falls on all of them.

Ratios are taken within a turn.
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
    """Of a call."""
    p99_milliseconds: float
    gflops: float
    of_gemm: float
    """Share of the GEMM's rate, within a turn."""
    of_best: float
    """Rate over that of the fastest engine, within a turn."""


def measure(
    bundle: Bundle, seconds: float, *, threads: int | None = None, clock: Clock = time.perf_counter
) -> list[Row]:
    """Every engine with every batch size, in turns, `seconds` each in all, by this clock."""
    frames = np.stack(noise_frames(bundle))
    work = operations_per_frame(bundle.file(MODEL)) / 1e9
    with ExitStack() as stack:
        engines = [stack.enter_context(engine) for engine in _open(bundle, threads)]
        return [row for batch in BATCHES for row in _measure(engines, frames, batch, work, seconds, clock)]


def _open(bundle: Bundle, threads: int | None) -> list[Engine]:
    engines = []
    for name in ENGINES:
        try:
            engines.append(open_engine(bundle, name, threads=threads))
        except EngineError as error:
            sys.stderr.write(f"left out: {error}\n")
    return engines


def _measure(engines: list[Engine], frames: Frames, batch: int, work: float, seconds: float, clock: Clock) -> list[Row]:
    durations: dict[str, list[float]] = {engine.name: [] for engine in engines}
    rates, gemm = {engine.name: np.zeros(ROUNDS) for engine in engines}, np.zeros(ROUNDS)
    for turn in range(ROUNDS):
        gemm[turn] = gemm_gflops(0.5, clock)
        for engine in engines:
            taken = _calls(engine, frames, batch, seconds / ROUNDS, clock)
            durations[engine.name] += taken
            rates[engine.name][turn] = batch * len(taken) / sum(taken)
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
    """Durations of calls, seconds, after two that warm up."""
    for _ in range(2):
        engine.score(frames[:batch])
    taken, end, at = [], clock() + seconds, 0
    while (start := clock()) < end:
        engine.score(frames[at : at + batch])
        taken.append(clock() - start)
        at = (at + batch) % (len(frames) - batch + 1)
    return taken
