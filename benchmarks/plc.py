"""From the trigger register to the result register: a PLC with a real client triggers 20 parts a second.

    python -m benchmarks.plc [--parts 1200]

The last result is in benchmarks/plc.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from agent.commands import ask
from agent.core.durations import Durations
from agent.core.errors import InspectdError
from agent.tools.plc_sim.plc import Plc
from agent.tools.plc_sim.run import run_parts
from benchmarks.loop import RunningProcess, bundle_of
from benchmarks.machine import describe_machine
from benchmarks.sections import write_section
from tests.support.agent_settings import settings_text
from tests.support.agents import await_state
from tests.support.broker import free_port

RESULT = Path(__file__).with_suffix(".md")
PARTS_PER_SECOND = 20.0

# The simulator has no trigger of its own: a part waits for the next frame, half a frame interval on average.
FRAMES_PER_SECOND = 40.0
WAIT_MS = 1000.0 / FRAMES_PER_SECOND
SOURCE = f'kind = "simulator"\nframes_per_second = {FRAMES_PER_SECOND}\ngood_frames = 100000000'
CALIBRATION = 'frames = 100\nmax_frames = 100\nfalse_alarms = "1 per 50 parts"'


class TriggeredAgent(RunningProcess):
    """A real agent with a triggered camera and a Modbus server."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "camera", FRAMES_PER_SECOND)
        self.port = free_port()
        sections = f'[outputs.plc]\nkind = "modbus"\nport = {self.port}'
        text = settings_text(bundle_of("camera"), SOURCE, calibration=CALIBRATION, sections=sections)
        (directory / "inspectd.toml").write_text(text + "[cameras.line1.parts]\ntrigger = true\n")


def calibrate(socket: Path) -> None:
    """Trigger parts until the camera is armed."""
    number = 0
    while await_state(socket, lambda state: True)["phase"] != "armed":
        number += 1
        try:
            ask(socket, "inspect", part=f"good {number}")
        except InspectdError:
            time.sleep(0.1)
        time.sleep(0.02)


def measure(parts: int) -> dict[str, Any]:
    """The summary of the PLC, and the state of the camera."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        agent = TriggeredAgent(Path(directory))
        with agent as socket:
            calibrate(socket)
            overhead = Durations()
            with Plc("127.0.0.1", agent.port) as plc:
                summary = run_parts(
                    plc,
                    parts=parts,
                    first=1,
                    product=0,
                    interval_seconds=1.0 / PARTS_PER_SECOND,
                    on_result=lambda result: overhead.add((result.round_trip_ms - result.agent_ms) / 1000.0),
                )
            named = dict(zip(("p50", "p95", "p99"), overhead.percentiles() or (), strict=False))
            return {**summary, "overhead_ms": named, "load": load, "state": ask(socket, "status")["cameras"]["line1"]}


def report(measured: dict[str, Any]) -> str:
    """The table of benchmarks/plc.md."""
    rows = {
        "trigger written to result read, by the PLC": measured["round_trip_ms"],
        "trigger to result, in the agent": measured["agent_ms"],
        "Modbus and the polling of the PLC: the difference, part by part": measured["overhead_ms"],
        "in the agent, capture of the frame to its verdict (inference)": measured["state"]["latency_ms"],
    }
    table = "\n".join(
        f"| {name} | {values['p50']:.1f} | {values['p95']:.1f} | {values['p99']:.1f} |" for name, values in rows.items()
    )
    return f"""\
# Trigger to result over Modbus TCP

`python -m benchmarks.plc`: {measured["parts"]} parts, {PARTS_PER_SECOND:g} a second. A real agent with the shipped
bundle `simulator-camera` and the simulator at {FRAMES_PER_SECOND:g} frames a second: a trigger waits up to
{WAIT_MS:g} ms for its frame. The client is that of pymodbus, reads the registers every 2 ms, and runs on the same
machine.

{describe_machine()}; load average {measured["load"]:.0f} before the measurement, which had priority {os.nice(0)}. On a
machine that other programs use, the last column shows these programs too.

| milliseconds | p50 | p95 | p99 |
|---|---|---|---|
{table}
"""


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=1200)
    text = report(measure(parser.parse_args().parts))
    write_section(RESULT, text)
    print(text)


if __name__ == "__main__":
    main()
