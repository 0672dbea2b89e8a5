"""`inspectd plc-sim`: triggers parts and prints their results, or shows the registers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from agent.core.durations import Durations
from agent.core.errors import Permanent
from agent.outputs.modbus.register_map import INPUTS
from agent.tools.plc_sim.plc import Inspected, Plc, describe

# How often the registers are read for `--watch`.
WATCH_SECONDS = 0.05

OnLine = Callable[[str], None]


def read_address(address: str) -> tuple[str, int]:
    """Host and port. Raises Permanent.

    >>> read_address("192.0.2.20:502"), read_address("[::1]:502")
    (('192.0.2.20', 502), ('::1', 502))
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Permanent(f"address: got {address!r}, wanted HOST:PORT, such as 192.0.2.20:5020")
    return host.strip("[]"), int(port)


def run_parts(
    plc: Plc, *, parts: int, first: int, product: int, interval_seconds: float, on_result: Callable[[Inspected], None]
) -> dict[str, Any]:
    """Inspect so many parts, a trigger every `interval_seconds` at most; returns the summary."""
    verdicts, durations, agent = Counter[str](), Durations(), Durations()
    plc.reset()
    next_at = time.monotonic()
    for number in range(first, first + parts):
        time.sleep(max(0.0, next_at - time.monotonic()))
        next_at = max(next_at, time.monotonic() - interval_seconds) + interval_seconds
        result = plc.inspect(number & 0xFFFFFFFF, product)
        verdicts["dry run" if result.verdict is None else result.verdict.value] += 1
        durations.add(result.round_trip_ms / 1000.0)
        agent.add(result.agent_ms / 1000.0)
        on_result(result)
    named = ("p50", "p95", "p99")
    return {
        "parts": parts,
        "verdicts": dict(verdicts),
        "round_trip_ms": dict(zip(named, durations.percentiles() or (), strict=False)),
        "agent_ms": dict(zip(named, agent.percentiles() or (), strict=False)),
    }


def result_line(result: Inspected) -> str:
    """The result of one part for people."""
    if result.verdict is None:
        shown = f"dry run, would be {'nothing' if result.dry_run is None else result.dry_run.value}"
    else:
        shown = result.verdict.value + (f" ({result.reason.value})" if result.reason else "")
    score = "" if result.score is None else f"   score {result.score:.4g}, threshold {result.threshold or 0.0:.4g}"
    return f"part {result.part}: {shown}{score}   {result.round_trip_ms:.1f} ms"


def result_document(result: Inspected) -> dict[str, Any]:
    """The result of one part for programs."""
    return {name: getattr(value, "value", value) for name, value in asdict(result).items()}


def summary_line(summary: dict[str, Any]) -> str:
    """The summary for people."""
    counts = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in summary["verdicts"].items())
    times = ", ".join(f"{name} {value:.1f} ms" for name, value in summary["round_trip_ms"].items())
    return f"{summary['parts']} parts: {counts}; trigger to result: {times}"


def watch_registers(plc: Plc, on_line: OnLine, *, rounds: int | None = None) -> None:
    """Print the registers, then each change, until it is interrupted; `rounds`: read so often."""
    known: dict[str, Any] = {}
    for _ in _rounds(rounds):
        values = dict(plc.read())
        changed = [row for row in INPUTS if row.name != "heartbeat" and _differs(row.name, values, known)]
        for row in changed:
            value = values[row.name]
            shown = describe(values) if row.name == "status" else f"{value:.6g}" if isinstance(value, float) else value
            on_line(f"{row.address:>3}  {row.name:<18} {shown}")
        known = values
        time.sleep(WATCH_SECONDS)


def _rounds(rounds: int | None) -> Iterator[int]:
    return iter(range(rounds)) if rounds is not None else iter(int, 1)


def _differs(name: str, values: dict[str, Any], known: dict[str, Any]) -> bool:
    """Whether a register has changed; of the status word, another bit than the heartbeat."""
    mask = ~1 if name == "status" else ~0
    before, now = known.get(name), values[name]
    return before is None or (int(before) & mask != int(now) & mask if name == "status" else before != now)
