"""Measures delivery: `python -m benchmarks.delivery [--alarms N] [--json FILE]`, with a real Mosquitto on loopback.

- rate: alarms with three images per second through outbox (fsync included) and publisher, and through paho alone at
  QoS 1 with the same bytes to the same broker, in turn, so that both see the same machine. All alarms of a round wait
  from the start: for paho in its queue, for us in groups that share a commit, as the agent accepts what waits while the
  disk is busy; a second time with one commit per alarm, as if each arrived when the one before was durable; and how
  many per second are durable without publishing;
- latency: from the call of `accept` to the subscriber, at five alarms per second;
- live: the same for an alarm that is raised while 10,000 images of an outage wait.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.mqtt import Broker
from agent.outputs.outbox import MAX_TOGETHER, Entry, Message, Outbox, Row
from benchmarks.machine import describe_machine
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import TOPICS, WaitablePublisher, document

# Sizes of the simulator's alarms at 512 pixels: heatmap 150 kB, overlay 50 kB, frame 65 kB.
IMAGE_BYTES = {"heatmap": 150_000, "overlay": 50_000, "frame": 65_000}
ROUNDS = 7


def images() -> dict[str, bytes]:
    """Bytes in place of images; neither system decodes them."""
    rng = np.random.default_rng(0)
    return {name: rng.bytes(size) for name, size in IMAGE_BYTES.items()}


def messages(identity: str, sequence: int, shots: dict[str, bytes], camera: str) -> list[Message]:
    topics = [TOPICS.image(camera, identity, name) for name in shots]
    return [document(identity, sequence, camera)] + [
        Message(topic, payload, identity, name, is_image=True, media_type="image/png")
        for topic, (name, payload) in zip(topics, shots.items(), strict=True)
    ]


@contextmanager
def agent(broker: Mosquitto, directory: Path, delivered: Callable[[Row, float], None] | None = None) -> Any:
    outbox = Outbox(directory / f"outbox-{time.monotonic_ns()}.sqlite", max_bytes=8 * 1024**3)
    publisher = WaitablePublisher(Broker(broker.url), TOPICS, outbox, delivered=delivered)
    try:
        yield outbox, publisher
    finally:
        publisher.stop(2.0)
        outbox.close()


def accept_all(outbox: Outbox, alarms: int, shots: dict[str, bytes], together: int) -> None:
    """Accept alarms of two cameras in turn; `together`: how many share a commit."""
    for start in range(0, alarms, together):
        cameras = [f"cam{number % 2}" for number in range(start, min(start + together, alarms))]
        outbox.accept_together(
            [Entry(c, lambda sequence, c=c: messages(f"a{sequence}", sequence, shots, c)) for c in cameras]
        )


def rate_of_accepting(broker: Mosquitto, directory: Path, alarms: int, shots: dict[str, bytes]) -> float:
    """Alarms per second that are durable, without publishing."""
    with agent(broker, directory) as (outbox, _):
        begin = time.perf_counter()
        accept_all(outbox, alarms, shots, MAX_TOGETHER)
        return alarms / (time.perf_counter() - begin)


def rate_of_ours(broker: Mosquitto, directory: Path, alarms: int, shots: dict[str, bytes], together: int) -> float:
    """Alarms per second, from the first `accept` to the last PUBACK; `together`: how many share a commit."""
    acknowledged, done = [0], threading.Event()

    def delivered(*_: Any) -> None:
        acknowledged[0] += 1
        if acknowledged[0] == 4 * alarms:
            done.set()

    with agent(broker, directory, delivered) as (outbox, publisher):
        publisher.start()
        wait_until(lambda: publisher.connected)
        begin = time.perf_counter()
        accept_all(outbox, alarms, shots, together)
        assert done.wait(600)
        took = time.perf_counter() - begin
        assert publisher.wait_until_delivered(60)
        return alarms / took


def rate_of_bare_paho(broker: Mosquitto, alarms: int, shots: dict[str, bytes]) -> float:
    """The same bytes, at QoS 1 with paho's own queue and thread; nothing is stored."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages = 20
    acknowledged, done = [0], threading.Event()

    def on_publish(*_: Any) -> None:
        acknowledged[0] += 1
        if acknowledged[0] == 4 * alarms:
            done.set()

    client.on_publish = on_publish
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    wait_until(client.is_connected)
    begin = time.perf_counter()
    for number in range(alarms):
        for message in messages(f"a{number}", number + 1, shots, f"cam{number % 2}"):
            client.publish(message.topic, message.payload, 1)
    assert done.wait(600)
    took = time.perf_counter() - begin
    client.disconnect()
    client.loop_stop()
    return alarms / took


def latencies(broker: Mosquitto, directory: Path, alarms: int, shots: dict[str, bytes]) -> list[float]:
    """Milliseconds from the call of `accept` to the subscriber, five alarms per second."""
    subscriber = Subscriber(broker, "inspectd/+/+/alarm")
    called: dict[int, float] = {}
    with agent(broker, directory) as (outbox, publisher):
        publisher.start()
        wait_until(lambda: publisher.connected)
        for _ in range(alarms):
            now = time.monotonic()
            sequence = outbox.accept("cam", lambda sequence: messages(f"a{sequence}", sequence, shots, "cam"))
            called[sequence] = now
            time.sleep(max(0.0, 0.2 - (time.monotonic() - now)))
        wait_until(lambda: len(subscriber.messages) == alarms, seconds=60)
    subscriber.close()
    arrived = {json.loads(message.payload)["sequence"]: message.at for message in subscriber.messages}
    return [1000.0 * (arrived[sequence] - called[sequence]) for sequence in called]


def live_behind_backlog(broker: Mosquitto, directory: Path, rows: int) -> float:
    """Seconds from `accept` to the subscriber, for an alarm raised while `rows` images of an outage wait."""
    subscriber = Subscriber(broker, "inspectd/+/+/alarm")
    shot = bytes(10_000)
    with agent(broker, directory) as (outbox, publisher):
        for start in range(0, rows, 100):
            topic = TOPICS.image("cam", f"old{start}", "frame")
            backlog = [Message(topic, shot, f"old{start}", "frame", is_image=True, media_type="image/jpeg")] * 100
            outbox.accept("cam", lambda sequence, b=backlog: [document(f"old{sequence}", sequence), *b])
        publisher.start()
        wait_until(lambda: len(subscriber.messages) == rows // 100, seconds=60)
        begin = time.monotonic()
        last = outbox.accept("cam", lambda sequence: [document("live", sequence)])
        wait_until(lambda: any(b'"live"' in m.payload for m in list(subscriber.messages)), seconds=60)
        waiting = outbox.waiting()
    subscriber.close()
    assert waiting > rows // 2, f"the backlog was delivered ({waiting} rows left) before alarm {last} was raised"
    (arrived,) = {message.at for message in subscriber.messages if b'"live"' in message.payload}
    return arrived - begin


def ratio(ours: list[float], bare: list[float]) -> dict[str, float]:
    """Ratios of rates of the same round: median and extremes."""
    found = [o / b for o, b in zip(ours, bare, strict=True)]
    return {"median": round(median(found), 3), "lowest": round(min(found), 3), "highest": round(max(found), 3)}


def measure(alarms: int, directory: Path) -> dict[str, Any]:
    broker = Mosquitto(directory / "broker").start()
    try:
        shots = images()
        ours, single, bare, durable = [], [], [], []
        for _ in range(ROUNDS):
            ours.append(rate_of_ours(broker, directory, alarms, shots, MAX_TOGETHER))
            bare.append(rate_of_bare_paho(broker, alarms, shots))
            single.append(rate_of_ours(broker, directory, alarms, shots, 1))
            durable.append(rate_of_accepting(broker, directory, alarms, shots))
        waits = latencies(broker, directory, min(alarms, 100), shots)
        return {
            "machine": describe_machine(),
            "load": round(os.getloadavg()[0], 1),
            "alarms": alarms,
            "bytes_per_alarm": sum(IMAGE_BYTES.values()),
            "alarms_per_second": round(median(ours), 1),
            "bare_paho_alarms_per_second": round(median(bare), 1),
            "ratio": ratio(ours, bare),
            "one_commit_each": {"alarms_per_second": round(median(single), 1), "ratio": ratio(single, bare)},
            "durable_per_second_without_publishing": round(median(durable), 1),
            "latency_ms": {f"p{p}": round(float(np.percentile(waits, p)), 1) for p in (50, 99)},
            "live_behind_10000_seconds": round(live_behind_backlog(broker, directory, 10_000), 3),
        }
    finally:
        broker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delivery", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--alarms", type=int, default=200, help="alarms per round")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(options.alarms, Path(directory))
    text = json.dumps(figures, indent=2)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
