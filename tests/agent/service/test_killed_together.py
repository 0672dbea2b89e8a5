"""Agent and broker are killed together, at any moment: a power cut of the whole cabinet."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundles import Bundle
from tests.support.agents import Starter, await_state, configure, is_armed, socket_path, stop
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.parts import draw_part

SIMULATOR = 'kind = "simulator"\nframes_per_second = 50.0\ngood_frames = 100\ndefect_rate = 0.2'


PER_RUN = ("sequence", "epoch", "captured_at", "clock")
"""Fields of an alarm that say when and in which run it was raised."""


def video_of_parts(path: Path, frames: int) -> str:
    """90 good parts, then bad ones with a chequered square among good ones; the source."""
    rng = np.random.default_rng(5)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (40, 40))
    for index in range(90 + frames):
        image = draw_part(rng)
        if index >= 90 and index % 4 == 0:
            image[8:24, 8:24] = np.indices((16, 16)).sum(axis=0) // 2 % 2 * 255
        writer.write(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    writer.release()
    return f'kind = "video"\npath = "{path}"\nframes_per_second = 50.0'


@pytest.mark.parametrize("cycles", [2, pytest.param(200, marks=[pytest.mark.faults, pytest.mark.timeout(3600)])])
@pytest.mark.parametrize("kind", ["simulator", "video"])
def test_agent_and_broker_killed_together_keep_their_promises(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, tiny_bundle: Bundle, start: Starter, kind: str, cycles: int
) -> None:
    """The calibration stays; an id has one content; a sequence number belongs to one alarm; images are whole."""
    broker = mosquitto()
    source = SIMULATOR if kind == "simulator" else video_of_parts(tmp_path / "parts.avi", 100 * (cycles + 2))
    configure(tmp_path, tiny_bundle, source, broker.url)
    subscriber = Subscriber(broker, "inspectd/#", client_id="plc")
    process = start()
    calibration = await_state(socket_path(tmp_path), is_armed)["calibration"]
    rng = np.random.default_rng(cycles)
    for _ in range(cycles):
        arrived = len(subscriber.on("/alarm"))
        wait_until(lambda arrived=arrived: len(subscriber.on("/alarm")) > arrived, what="an alarm")
        # A random moment after an alarm: its images, its PUBACK, the next alarm.
        threading.Event().wait(float(rng.uniform(0.0, 0.3)))
        process.kill()
        broker.kill()
        process.communicate()
        broker.start()
        process = start()
        state = await_state(socket_path(tmp_path), lambda found: found["phase"] == "armed")
        assert state["calibration"] == calibration
    if process.poll() is None:
        code, log = stop(process)
        assert code == 0, log
        assert "Traceback" not in log
        assert "corrupt" not in log
    _assert_consistent(subscriber)


def _assert_consistent(subscriber: Subscriber) -> None:
    contents, numbers = defaultdict(set), defaultdict(set)
    for message in subscriber.on("/alarm"):
        document = json.loads(message.payload)
        # A video is read again from its start: the same alarms are raised again, in another run and at another time.
        described = {name: value for name, value in document.items() if name not in PER_RUN}
        # The overlay shows the time.
        described["evidence"].pop("overlay", None)
        # Killed while an alarm was active: the first frame of the next run clears it, whichever that is.
        if document["event"] == "cleared":
            del described["frame"]
        contents[document["id"], document["event"]].add(json.dumps(described, sort_keys=True))
        numbers[document["sequence"]].add((document["id"], document["event"]))
    assert contents
    assert [key for key, found in contents.items() if len(found) > 1] == []
    assert [number for number, found in numbers.items() if len(found) > 1] == []
    for message in subscriber.on("/heatmap"):
        assert cv2.imdecode(np.frombuffer(message.payload, np.uint8), cv2.IMREAD_UNCHANGED) is not None
