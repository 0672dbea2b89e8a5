"""From a trigger to its result at a subscriber, on the simulator at 256 pixels and 20 frames a second."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.commands import ask
from agent.core.errors import InspectdError
from tests.support.agent_settings import settings_text
from tests.support.agents import await_state, running_service, socket_path
from tests.support.broker import Mosquitto, Subscriber, wait_until

BUNDLE = Path(__file__).parents[2] / "engines" / "bundles" / "shipped" / "simulator-camera.bundle"
RATE = 20.0
WINDOW = 50

# Two frame intervals and 20 ms.
GOAL_MS = 2000.0 / RATE + 20.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of all triggers."""

    milliseconds: list[float]
    verdicts: dict[str, int]

    def table(self) -> str:
        """As Markdown."""
        p50, p99, worst = np.percentile(self.milliseconds, (50, 99, 100))
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
        return (
            "| triggers | results | p50, ms | p99, ms | longest, ms | goal for p99, ms |\n|---|---|---|---|---|---|\n"
            f"| {len(self.milliseconds)} | {verdicts} | {p50:.0f} | {p99:.0f} | {worst:.0f} | {GOAL_MS:.0f} |\n"
        )


def measure_latency(directory: Path, triggers: int) -> Latency:
    """Fill a window, then trigger at random times, a quarter of a second apart in the mean."""
    broker = Mosquitto(directory / "broker").start()
    config = directory / "inspectd.toml"
    source = f'kind = "simulator"\nframes_per_second = {RATE}\ngood_frames = 100000'
    calibration = f'frames = {WINDOW}\nmax_frames = {WINDOW}\nfalse_alarms = "1 per 1000 parts"'
    text = settings_text(BUNDLE, source, url=broker.url, calibration=calibration)
    config.write_text(text + "[cameras.line1.parts]\ntrigger = true\n")
    subscriber = Subscriber(broker, "inspectd/plant/line1/result")
    try:
        with running_service(config):
            socket = socket_path(directory)
            window = _calibrate(socket)
            wait_until(lambda: len(subscriber.messages) >= window, seconds=30, what="every result of the window")
            sent = _trigger(socket, triggers)
            wait_until(lambda: len(_arrived(subscriber, sent)) == len(sent), seconds=30, what="every result")
    finally:
        broker.end()
    arrived = _arrived(subscriber, sent)
    verdicts: dict[str, int] = {}
    for _, verdict in arrived.values():
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
    return Latency([1000.0 * (arrived[part][0] - at) for part, at in sent.items()], verdicts)


def _calibrate(socket: Path) -> int:
    """Trigger until the camera is armed; returns how many triggers were accepted. Some of them still wait."""
    await_state(socket, lambda state: state["frames"] > 0)
    accepted, armed = 0, False
    while not armed:
        try:
            ask(socket, "inspect", part=f"window-{accepted}")
            accepted += 1
        except InspectdError:
            time.sleep(0.1)  # too many wait
        armed = ask(socket, "status")["cameras"]["line1"]["phase"] == "armed"
    return accepted


def _trigger(socket: Path, triggers: int) -> dict[str, float]:
    chance, sent = random.Random(0), {}
    for number in range(triggers):
        time.sleep(chance.uniform(0.1, 0.4))
        sent[f"SN{number:05}"] = time.monotonic()
        ask(socket, "inspect", part=f"SN{number:05}")
    return sent


def _arrived(subscriber: Subscriber, sent: dict[str, float]) -> dict[str, tuple[float, str]]:
    documents = ((json.loads(message.payload), message.at) for message in list(subscriber.messages))
    return {found["part"]: (at, found["verdict"]) for found, at in documents if found["part"] in sent}
