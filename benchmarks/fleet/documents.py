"""What one real agent publishes, as the pattern for many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.loop import bundle_of
from tests.support.agent_settings import settings_text
from tests.support.agents import agent_processes
from tests.support.broker import Mosquitto, Subscriber, wait_until

_SOURCE = 'kind = "simulator"\nframes_per_second = 20.0\ngood_frames = 120\ndefect_rate = 0.05'

_CALIBRATION = 'frames = 60\nmax_frames = 60\nfalse_alarms = "1 per 100 parts"'

Documents = dict[str, dict[str, Any]]
"""`status`, `state`, `count`, and the alarm `raised` and `cleared`."""


def capture(directory: Path) -> Documents:
    """Run an agent until it is armed and an alarm has come and gone; returns what it has published."""
    broker = Mosquitto(directory / "broker").start()
    config = directory / "inspectd.toml"
    text = settings_text(bundle_of("camera"), _SOURCE, url=broker.url, calibration=_CALIBRATION)
    config.write_text(f"{text}[cameras.line1.parts]\nframes_per_part = 1\n")
    subscriber = Subscriber(broker, "inspectd/#")
    try:
        with agent_processes(config) as start:
            start()
            wait_until(lambda: "cleared" in _latest(subscriber), seconds=600, what="an alarm that was cleared")
            wait_until(lambda: "count" in _latest(subscriber), seconds=120, what="the numbers of the shift")
            return _usual(_latest(subscriber))
    finally:
        subscriber.close()
        broker.end()


def _latest(subscriber: Subscriber) -> Documents:
    found: Documents = {}
    for message in list(subscriber.messages):
        name = message.topic.rpartition("/")[2]
        if name in ("status", "state", "count", "alarm") and message.payload:
            document = json.loads(message.payload)
            found[document["event"] if name == "alarm" else name] = document
    return found


def _usual(found: Documents) -> Documents:
    """Without what is due to its first minutes on this machine: three alarms at once, and a clock without a server."""
    found["state"].update(broken_promise=None, alarm=None, reason=None)
    for event in ("raised", "cleared"):
        found[event]["clock"] = None
    return found
