"""From a job over OPC UA to its result: a client of asyncua starts one job after the other.

    python -m benchmarks.opcua [--jobs 300]
    python -m benchmarks.opcua --kills [--jobs 10000]

With `--kills`, agent and server are killed twenty times each in the meantime, and every result is checked. The last
result of each is in benchmarks/opcua.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from agent.commands import ask
from agent.core.durations import Durations
from benchmarks.loop import RunningProcess, bundle_of
from benchmarks.machine import describe_machine
from benchmarks.plc import CALIBRATION, FRAMES_PER_SECOND, SOURCE, WAIT_MS, calibrate
from benchmarks.sections import write_section
from tests.agent.opcua.test_handshake import AUTOMATIC, RESULT_READY, Camera, job, subscribed
from tests.agent.opcua.test_kills import Handshakes, running_line, soak
from tests.conftest import DATA
from tests.support.agent_settings import settings_text
from tests.support.opcua import OpcuaServer, opcua_client, running_opcua

RESULT = Path(__file__).with_suffix(".md")

KILLED = 20


class TriggeredAgent(RunningProcess):
    """A real agent with a triggered camera."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "camera", FRAMES_PER_SECOND)
        self.config = directory / "inspectd.toml"
        text = settings_text(bundle_of("camera"), SOURCE, calibration=CALIBRATION)
        self.config.write_text(text + "[cameras.line1.parts]\ntrigger = true\n")


async def run_jobs(server: OpcuaServer, jobs: int) -> tuple[Durations, Durations]:
    """From the call to its answer, and from the call to the event with the result."""
    answered, finished = Durations(), Durations()
    async with opcua_client(server) as client:
        camera = await Camera.of(client, "line1")
        heard = await subscribed(client, camera.root, RESULT_READY, interval_ms=10)
        parent, method = await camera.at(AUTOMATIC), await camera.at(f"{AUTOMATIC}/StartSingleJob")
        for number in range(jobs):
            await camera.await_states("Operational", "Ready")
            begun = time.monotonic()
            started, error = await parent.call_method(method, *job(f"part-{number}"))
            assert error == 0
            answered.add(time.monotonic() - begun)
            event = await heard.next()
            assert event.JobId.Id == started.Id
            finished.add(time.monotonic() - begun)
    return answered, finished


def measure(jobs: int) -> dict[str, Any]:
    """Durations in milliseconds, and the memory of the server."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        agent = TriggeredAgent(Path(directory))
        with agent as socket, running_opcua(agent.config) as server:
            calibrate(socket)
            answered, finished = asyncio.run(run_jobs(server, jobs))
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            memory = int(status.partition("VmHWM:")[2].split()[0]) / 1024
            state = ask(socket, "status")["cameras"]["line1"]
    return {
        "jobs": jobs,
        "load": load,
        "memory_mb": memory,
        "call to its answer": answered.percentiles(),
        "call to the event with the result": finished.percentiles(),
        "in the agent, capture of the frame to its verdict (inference)": tuple(state["latency_ms"].values()),
    }


def report(measured: dict[str, Any]) -> str:
    """The table of benchmarks/opcua.md."""
    rows = "\n".join(
        f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + " |"
        for name, values in measured.items()
        if isinstance(values, tuple)
    )
    return f"""\
# Job to result over OPC UA

`python -m benchmarks.opcua`: {measured["jobs"]} jobs, one after the other. A real agent with the shipped bundle
`simulator-camera` and the simulator at {FRAMES_PER_SECOND:g} frames a second: a job waits up to
{WAIT_MS:g} ms for its frame. The client is that of asyncua, on the same machine, with a subscription that publishes
every 10 ms; the channel is encrypted.

{describe_machine()}; load average {measured["load"]:.0f} before the measurement: on a machine that other
programs use, the numbers show these programs too.

| milliseconds | p50 | p95 | p99 |
|---|---|---|---|
{rows}

Most memory of the server, one camera: {measured["memory_mb"]:.0f} MB.
"""


def report_kills(counts: Handshakes, seconds: float) -> str:
    """The second section of benchmarks/opcua.md."""
    return f"""\
## Killed twenty times

`python -m benchmarks.opcua --kills`: the same without pauses, with a small bundle and 100 frames
a second, while agent and server are killed (SIGKILL) {KILLED} times each: the server with a job under way, the agent
with one under way or just before. A result has to have the job, the measurement and the part of its call, a frame that
was captured after the call, and the verdict and the score that the agent has stored under the id of the result.

{describe_machine()}; {seconds / 60:.0f} minutes.

| | |
|---|---|
| jobs | {counts.jobs} |
| judged, each with its own result | {counts.judged} |
| ended as aborted, the agent was killed | {counts.aborted} |
| without a result, the server was killed | {counts.lost} |
| rejected, the agent was not there | {counts.rejected} |
| results for a wrong part, second results of a job, frames from before a job | 0 |
| starts after which the camera was shown as ready before it was armed | 0 of {counts.restarts} |
"""


def kills(jobs: int) -> str:
    """Run the jobs; an assertion ends it where a result is wrong."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        bundle = Path(shutil.copytree(DATA / "tiny.bundle", Path(directory) / "tiny.bundle"))
        with running_line(Path(directory), bundle) as line:
            counts = soak(line, jobs=jobs, agent_kills=KILLED, server_kills=KILLED)
    return report_kills(counts, time.monotonic() - begun)


def main() -> None:
    """Measure, print and keep the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--kills", action="store_true")
    options = parser.parse_args()
    text = kills(options.jobs or 10_000) if options.kills else report(measure(options.jobs or 300))
    write_section(RESULT, text)
    print(text)


if __name__ == "__main__":
    main()
