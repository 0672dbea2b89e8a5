"""Today's agent delivers the alarms that an agent of release 0.1.0 had in its outbox when it was killed.

`tests/data/outbox-0.1` holds that agent's state and lists the messages. Only the command line and MQTT are used here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tests
from tests.support.broker import MOSQUITTO, Arrived, Mosquitto, Subscriber, wait_until

DATA = Path(tests.__file__).parent / "data" / "outbox-0.1"
EXPECTED = json.loads((DATA / "expected.json").read_text())
MESSAGES = EXPECTED["messages"]
CAMERAS = ("line1", "line2")

# Camera line1 sees good parts only, which clears its active alarm. Part 5 of line2 has a missing hole.
OVERRIDES = (
    "cameras.line1.source.good_frames=1000000",
    "cameras.line2.source.good_frames=0",
    "cameras.line2.source.seed=335",
    "cameras.line2.source.faults=[]",
)


@dataclass(frozen=True)
class Delivered:
    """What a subscriber received from the upgraded agent."""

    subscriber: Subscriber

    def messages(self, topic_ending: str = "") -> list[Arrived]:
        """Alarms and their images in the order of arrival."""
        return [message for message in self.subscriber.on(topic_ending) if "/alarm" in message.topic]

    def documents(self, topic_ending: str = "/alarm") -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in self.subscriber.on(topic_ending)]

    def new_alarms(self, topic_ending: str = "/alarm") -> list[dict[str, Any]]:
        """Alarms that the upgraded agent itself raised or cleared."""
        old = {digest_of(message) for message in documents_expected()}
        arrived = self.subscriber.on(topic_ending)
        return [json.loads(message.payload) for message in arrived if digest(message.payload) not in old]

    def complete(self) -> bool:
        """Whether all that waited has arrived, the old alarm is cleared, and a new one too, with its images."""
        if len(self.messages()) < len(MESSAGES) or "cleared" not in events(self.new_alarms("line1/alarm")):
            return False
        alarms = self.new_alarms("line2/alarm")
        topics = {message.topic for message in self.messages()}
        return "cleared" in events(alarms) and all(image["topic"] in topics for image in images_of(alarms[0]))


def digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def digest_of(expected: dict[str, Any]) -> str:
    return str(expected["sha256"])


def events(alarms: list[dict[str, Any]]) -> list[str]:
    return [alarm["event"] for alarm in alarms]


def images_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    return list(alarm["evidence"].values())


def documents_expected(camera: str | None = None) -> list[dict[str, Any]]:
    return [m for m in MESSAGES if "event" in m and camera in (None, m["camera"])]


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    """Runs today's agent on the old state until all is delivered, and stops it."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    device = tmp_path_factory.mktemp("device")
    shutil.copy(DATA / "inspectd.toml", device)
    with tarfile.open(DATA / "device.tar.xz") as archive:
        # Debian 12's Python has no filters yet; the archive is our own.
        archive.extractall(device, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    broker = Mosquitto(tmp_path_factory.mktemp("broker")).start()
    subscriber = Subscriber(broker, "inspectd/#")
    try:
        run_until_complete(device, broker, Delivered(subscriber))
        yield Delivered(subscriber)
    finally:
        subscriber.close()
        broker.end()


def run_until_complete(device: Path, broker: Mosquitto, delivered: Delivered) -> None:
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(device / "inspectd.toml")]
    for override in (f"mqtt.url={broker.url}", *OVERRIDES):
        command += ["--set", override]
    log = device / "log"
    with log.open("w") as stderr:
        agent = subprocess.Popen(command, stderr=stderr)
    try:
        # Where messages are missing, the tests say which.
        with suppress(AssertionError):
            wait_until(lambda: agent.poll() is not None or delivered.complete())
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(60) == 0, log.read_text()
        wait_until(lambda: delivered.documents("plant/status")[-1]["status"] == "stopped", what="the last status")
    finally:
        agent.kill()
        agent.wait()


@pytest.mark.parametrize("camera", CAMERAS)
def test_alarms_that_waited_arrive_unchanged_and_in_order(delivered: Delivered, camera: str) -> None:
    expected = documents_expected(camera)
    arrived = delivered.messages(f"plant/{camera}/alarm")[: len(expected)]
    assert [digest(message.payload) for message in arrived] == [digest_of(message) for message in expected]
    documents = [json.loads(message.payload) for message in arrived]
    assert [(d["sequence"], d["id"], d["event"]) for d in documents] == [
        (message["sequence"], message["alarm"], message["event"]) for message in expected
    ]


def test_every_message_that_waited_arrives_once_on_its_topic(delivered: Delivered) -> None:
    """Alarms and images: the same bytes, media type and topic."""
    arrived = [
        (message.topic, message.properties.ContentType, len(message.payload), digest(message.payload))
        for message in delivered.messages()
    ]
    expected = [(m["topic"], m["media_type"], m["bytes"], m["sha256"]) for m in MESSAGES]
    assert {message: arrived.count(message) for message in expected} == dict.fromkeys(expected, 1)


def test_new_alarms_continue_with_the_next_sequence_number(delivered: Delivered) -> None:
    alarms = delivered.new_alarms()
    first = EXPECTED["last_sequence"] + 1
    assert sorted(alarm["sequence"] for alarm in alarms) == list(range(first, first + len(alarms)))
    for camera in CAMERAS:
        sequences = [alarm["sequence"] for alarm in delivered.documents(f"{camera}/alarm")]
        assert sequences == sorted(sequences)


def test_an_alarm_that_was_active_is_cleared_under_its_old_id(delivered: Delivered) -> None:
    ((camera, identity),) = EXPECTED["active"].items()
    cleared = delivered.new_alarms(f"{camera}/alarm")[0]
    assert (cleared["id"], cleared["event"], cleared["kind"]) == (identity, "cleared", "defect")


def test_a_defect_after_the_upgrade_is_a_new_alarm_with_images(delivered: Delivered) -> None:
    raised, cleared = delivered.new_alarms("line2/alarm")[:2]
    assert (raised["event"], cleared["event"]) == ("raised", "cleared")
    assert raised["id"] == cleared["id"]
    assert raised["id"] not in {message["alarm"] for message in MESSAGES}
    payloads = {message.topic: message.payload for message in delivered.messages()}
    assert {digest(payloads[image["topic"]]) for image in images_of(raised)} == {
        image["sha256"] for image in images_of(raised)
    }


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_calibration_stays_in_force(delivered: Delivered, camera: str) -> None:
    states = delivered.documents(f"{camera}/state")
    assert {state["calibration"] for state in states} == {EXPECTED["calibrations"][camera]}
    assert {alarm["calibration"] for alarm in delivered.new_alarms()} == set(EXPECTED["calibrations"].values())


def test_nothing_is_left_in_the_outbox(delivered: Delivered) -> None:
    outbox = delivered.documents("plant/status")[-1]["outbox"]
    assert (outbox["waiting"], outbox["dropped_pictures"], outbox["dropped_alarms"], outbox["dead_letters"]) == (0,) * 4
