"""The overhead around the engine: whole loop against engine alone, latency at 20 frames/s, memory of the agent.

    python -m benchmarks.loop [--frames 10000]

The last result is in benchmarks/loop.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from agent.commands import ask
from agent.core.errors import Temporary
from agent.tools.bench import BenchResult, run_bench
from benchmarks.machine import describe_machine
from tests.support.agent_settings import settings_text

RESULT = Path(__file__).with_suffix(".md")
MODES = ("camera", "xray")
BENCH_SECONDS = 12.0
LATENCY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a running agent, MB of 10^6 bytes."""

    early: float
    """After calibration."""
    late: float
    """At the end."""
    frames: int
    """Frames inspected in between."""


def bundle_of(mode: str) -> Path:
    """The shipped bundle for this mode of the simulator."""
    return Path(str(files("engines.bundles.shipped"))) / f"simulator-{mode}.bundle"


def latency_at_20(mode: str) -> dict[str, Any]:
    """State of a real agent after a minute of the simulator at 20 frames per second."""
    with tempfile.TemporaryDirectory() as directory, RunningProcess(Path(directory), mode, 20.0) as socket:
        time.sleep(LATENCY_SECONDS)
        return dict(ask(socket, "status")["cameras"]["line1"])


def memory(mode: str, frames: int) -> Memory:
    """Resident memory of a real agent after calibration, over `frames` frames at 100 frames per second."""
    with tempfile.TemporaryDirectory() as directory:
        agent = RunningProcess(Path(directory), mode, 100.0)
        with agent as socket:
            early_frames = _await_frames(socket, 1000)
            early = agent.resident_megabytes()
            late_frames = _await_frames(socket, early_frames + frames)
            return Memory(early, agent.resident_megabytes(), late_frames - early_frames)


class RunningProcess:
    """A real `inspectd run`; as a context manager it returns the path of its control socket."""

    def __init__(self, directory: Path, mode: str, rate: float) -> None:
        source = f'kind = "simulator"\nmode = "{mode}"\nframes_per_second = {rate}'
        text = settings_text(bundle_of(mode), source, calibration="", alarm="", sections='[log]\nlevel = "error"')
        (directory / "inspectd.toml").write_text(text)
        self._socket = directory / "state" / "control.sock"
        self._command = [sys.executable, "-m", "agent.cli", "run", "--config", str(directory / "inspectd.toml")]

    def __enter__(self) -> Path:
        self._process = subprocess.Popen(self._command)
        _await_frames(self._socket, 1)
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def resident_megabytes(self) -> float:
        """VmRSS, 10^6 bytes."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("no VmRSS: this needs Linux")


def _await_frames(socket: Path, frames: int) -> int:
    while True:
        try:
            inspected = int(ask(socket, "status")["cameras"]["line1"]["frames"])
        except Temporary:
            inspected = 0
        if inspected >= frames:
            return inspected
        time.sleep(0.2)


def _rows(mode: str, frames: int) -> list[str]:
    rates: BenchResult = run_bench(bundle_of(mode), engine_name="auto", seconds=BENCH_SECONDS)
    state = latency_at_20(mode)
    used = memory(mode, frames)
    ms = state["latency_ms"]
    return [
        f"| {mode} | {rates.input} | {rates.engine_frames_per_second:.1f} | {rates.loop_frames_per_second:.1f} "
        f"| {rates.loop_over_engine:.3f} | {ms['p50']:.1f} / {ms['p95']:.1f} / {ms['p99']:.1f} | {state['dropped']} "
        f"| {used.early:.0f} → {used.late:.0f} ({used.frames} frames) |"
    ]


def main() -> None:
    """Measure both modes and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000, help="frames of the memory run")
    frames = parser.parse_args().frames
    head = [
        "# The loop",
        "",
        f"`python -m benchmarks.loop --frames {frames}`; {describe_machine()}.",
        "",
        "| simulator | model input | engine alone, frames/s | whole loop, frames/s | loop / engine "
        "| capture to verdict at 20 frames/s, p50 / p95 / p99, ms | dropped | memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines = head + [row for mode in MODES for row in _rows(mode, frames)]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
