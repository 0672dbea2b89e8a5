"""Measure the engines on this machine and choose the one that `auto` takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from engines.backends import FALLBACK
from engines.bundles import Bundle
from engines.errors import EngineError
from engines.runtime.choice import Choice
from engines.runtime.engine import Engine
from engines.runtime.hardware import describe_processor, usable_engines
from engines.runtime.opening import open_engine

# Two runs of the same engine differ by less than this factor on a machine that does other work as well. An engine that
# is not faster than the fallback by more than that is not worth a change.
WORTH_A_CHANGE = 1.1


def choose_engine(
    bundle: Bundle, *, threads: int | None = None, directory: Path | None = None, seconds: float = 2.0
) -> Choice:
    """Measure all usable engines, one frame a call, for `seconds` each, and choose.

    `threads` and `directory` are those of `open_engine`. An engine that cannot be opened on this bundle is left out;
    EngineError if none can.
    """
    with ExitStack() as opened:
        engines = []
        for name in usable_engines():
            try:
                engine = open_engine(bundle, name, threads=threads, directory=directory)
            except EngineError:
                continue
            engines.append(opened.enter_context(engine))
        if not engines:
            raise EngineError(f"{bundle.path}: no engine can be opened on this machine")
        rates = engine_rates(engines, seconds)
    now = datetime.now(timezone.utc).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return Choice(worthwhile_engine(rates), rates, bundle.sha256, describe_processor(), now)


def worthwhile_engine(rates: Mapping[str, float]) -> str:
    """The fastest engine, unless the fallback is within a tenth of it. Takes frames per second by name.

    >>> worthwhile_engine({"onnxruntime": 100.0, "openvino": 109.0})
    'onnxruntime'
    >>> worthwhile_engine({"onnxruntime": 100.0, "openvino": 111.0})
    'openvino'
    """
    fastest = max(rates, key=lambda name: rates[name])
    return FALLBACK if rates[fastest] < WORTH_A_CHANGE * rates.get(FALLBACK, 0.0) else fastest


def engine_rates(engines: Sequence[Engine], seconds: float, rounds: int = 5) -> dict[str, float]:
    """Frames per second of each engine by name: the median over rounds.

    The engines take turns in each round, because the speed of a shared machine varies over time.
    """
    rates: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            rates[engine.name].append(_rate(engine, seconds / rounds))
    return {name: round(float(np.median(values)), 2) for name, values in rates.items()}


def _rate(engine: Engine, seconds: float) -> float:
    frames = engine.bundle.reference().frames
    engine.score(frames[:1])
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        index = count % len(frames)
        engine.score(frames[index : index + 1])
        count += 1
    return count / (time.perf_counter() - start)
