"""Four cameras at 20 frames a second, each frame a part: how many are judged, and how many results arrive."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from agent.commands import ask
from benchmarks.parts.latency import BUNDLE, RATE
from tests.support.agent_settings import settings_text
from tests.support.agents import await_status, running_service, socket_path
from tests.support.broker import Mosquitto, Subscriber

CAMERAS = 4


@dataclass(frozen=True, slots=True)
class Throughput:
    """Sums over all cameras."""

    seconds: float
    judged: int
    dropped: int
    results: int
    """That arrived at the subscriber in this time."""

    def table(self) -> str:
        """As Markdown."""
        captured = self.judged + self.dropped
        return (
            "| cameras | seconds | parts captured a second | judged a second | dropped | results a second |\n"
            "|---|---|---|---|---|---|\n"
            f"| {CAMERAS} | {self.seconds:.0f} | {captured / self.seconds:.1f} | {self.judged / self.seconds:.1f} "
            f"| {self.dropped / max(1, captured):.1%} | {self.results / self.seconds:.1f} |\n"
        )


def measure_throughput(directory: Path, seconds: float) -> Throughput:
    """Arm all cameras, then count for so long."""
    broker = Mosquitto(directory / "broker").start()
    config = directory / "inspectd.toml"
    source = f'kind = "simulator"\nframes_per_second = {RATE}\ngood_frames = 400\ndefect_rate = 0.01'
    calibration = 'frames = 60\nmax_frames = 60\nfalse_alarms = "1 per 1000 parts"'
    text = settings_text(BUNDLE, source, url=broker.url, calibration=calibration)
    camera = text[text.index("[cameras.line1]") :] + "[cameras.line1.parts]\nframes_per_part = 1\n"
    cameras = "".join(camera.replace("line1", f"line{number}") for number in range(1, CAMERAS + 1))
    config.write_text(text[: text.index("[cameras.line1]")] + cameras)
    subscriber = Subscriber(broker, "inspectd/plant/+/result")
    try:
        with running_service(config):
            socket = socket_path(directory)
            await_status(socket, lambda status: all(s["phase"] == "armed" for s in status["cameras"].values()), 120.0)
            before, results, began = _frames(socket), len(subscriber.messages), time.monotonic()
            time.sleep(seconds)
            after, took = _frames(socket), time.monotonic() - began
            return Throughput(took, after[0] - before[0], after[1] - before[1], len(subscriber.messages) - results)
    finally:
        broker.end()


def _frames(socket: Path) -> tuple[int, int]:
    states = ask(socket, "status")["cameras"].values()
    return sum(state["frames"] for state in states), sum(state["dropped"] for state in states)
