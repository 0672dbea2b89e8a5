"""Measure the engines on this machine and choose one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from engines.bundles import Bundle
from engines.errors import EngineError
from engines.runtime.choice import Choice
from engines.runtime.engine import DEFAULT, Engine
from engines.runtime.hardware import describe_processor, installed
from engines.runtime.opening import open_engine

# Two runs of the same engine on a machine that does other things differ by less than this; below it the default stays.
WORTH_A_CHANGE = 1.1


def choose(
    bundle: Bundle, *, threads: int | None = None, directory: Path | None = None, seconds: float = 2.0
) -> Choice:
    """Measure the installed engines, a frame a call, for `seconds` each, and choose.

    `threads` and `directory` as `open_engine` takes them. An engine that cannot be opened on this bundle is left out;
    EngineError where there is none.
    """
    engines = _open(bundle, installed(), threads, directory)
    try:
        rates = measure(engines, seconds)
    finally:
        for engine in engines:
            engine.close()
    if not rates:
        raise EngineError(f"{bundle.path}: no engine can be opened on this machine")
    now = datetime.now(timezone.utc).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return Choice(pick(rates), rates, bundle.sha256, describe_processor(), now)


def pick(rates: Mapping[str, float]) -> str:
    """The fastest, unless the default is within a tenth of it.

    >>> pick({"onnxruntime": 100.0, "openvino": 109.0}), pick({"onnxruntime": 100.0, "openvino": 111.0})
    ('onnxruntime', 'openvino')
    """
    fastest = max(rates, key=lambda name: rates[name])
    return DEFAULT if rates[fastest] < WORTH_A_CHANGE * rates.get(DEFAULT, 0.0) else fastest


def measure(engines: list[Engine], seconds: float, rounds: int = 5) -> dict[str, float]:
    """Frames a second of each engine, medians over rounds in turns: a shared machine is not as fast at all times."""
    rates: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            rates[engine.name].append(_rate(engine, seconds / rounds))
    return {name: round(float(np.median(values)), 2) for name, values in rates.items()}


def _open(bundle: Bundle, names: list[str], threads: int | None, directory: Path | None) -> list[Engine]:
    engines: list[Engine] = []
    for name in names:
        try:
            engines.append(open_engine(bundle, name, threads=threads, directory=directory))
        except EngineError:
            continue
    return engines


def _rate(engine: Engine, seconds: float) -> float:
    frames = engine.bundle.reference().frames
    engine.score(frames[:1])
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        index = count % len(frames)
        engine.score(frames[index : index + 1])
        count += 1
    return count / (time.perf_counter() - start)
