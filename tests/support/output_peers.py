"""Destinations for the contract suite of outputs: one peer for each kind, started for real.

A new kind of output adds its peer to `PEERS`; the suite then runs over it.
"""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.outputs.settings import KINDS, OutputKind, OutputSection, parse_section
from tests.support.broker import Mosquitto, Subscriber, free_port
from tests.support.webhook_receiver import SECRET, Posted, Receiver


@dataclass(frozen=True)
class Delivered:
    """A message as the destination got it."""

    camera: str
    alarm: str
    part: str
    """`raised` or `cleared` for a document, else the image's name."""
    sequence: int | None
    """Of a document."""
    payload: bytes


class Peer(ABC):
    """A destination of one kind."""

    takes_messages = True
    """False for one that is shown a state: it has nothing in the outbox."""

    @abstractmethod
    def section(self) -> OutputSection:
        """The settings of an output that delivers here."""

    @abstractmethod
    def start(self) -> None:
        """Take messages from now on."""

    @abstractmethod
    def stop(self) -> None:
        """Be away, until it is started again."""

    @abstractmethod
    def delivered(self) -> list[Delivered]:
        """Every message so far, in the order of arrival."""

    def end(self) -> None:  # noqa: B027
        """Leave nothing running."""


class MqttPeer(Peer):
    """A Mosquitto, and a subscriber that is none of ours."""

    def __init__(self, directory: Path) -> None:
        self._broker = Mosquitto(directory / "broker", persistence=True)
        self._subscriber: Subscriber | None = None

    def section(self) -> OutputSection:
        return parse_section({"kind": "mqtt", "url": self._broker.url})

    def start(self) -> None:
        self._broker.start()
        if self._subscriber is None:
            self._subscriber = Subscriber(self._broker, "inspectd/plant/+/alarm/#", client_id="peer")

    def stop(self) -> None:
        self._broker.stop()

    def delivered(self) -> list[Delivered]:
        messages = [] if self._subscriber is None else list(self._subscriber.messages)
        return [self._read(message.topic, message.payload) for message in messages]

    @staticmethod
    def _read(topic: str, payload: bytes) -> Delivered:
        _, _, camera, _, *image = topic.split("/")
        if image:
            return Delivered(camera, image[0], image[1], None, payload)
        document = json.loads(payload)
        return Delivered(camera, document["id"], document["event"], document["sequence"], payload)

    def end(self) -> None:
        if self._subscriber is not None:
            self._subscriber.close()
        self._broker.end()


class GpioPeer(Peer):
    """A chip that is not there; `tests/agent/outputs/gpio` has one that is recorded."""

    takes_messages = False

    def __init__(self, directory: Path) -> None:
        """Nothing to start."""

    def section(self) -> OutputSection:
        return parse_section({"kind": "gpio", "chip": "/dev/gpiochip99", "lights": {"red": 1}})

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """There is nothing to stop."""

    def delivered(self) -> list[Delivered]:
        return []


class ModbusPeer(Peer):
    """A PLC reads registers, and takes no messages; `tests/agent/outputs/modbus` has its tests."""

    takes_messages = False

    def __init__(self, directory: Path) -> None:
        self._port = free_port()

    def section(self) -> OutputSection:
        return parse_section({"kind": "modbus", "port": self._port})

    def start(self) -> None:
        """The server is in the agent."""

    def stop(self) -> None:
        """The server is in the agent."""

    def delivered(self) -> list[Delivered]:
        return []


class WebhookPeer(Peer):
    """A receiver over plain HTTP on this machine; `tests/agent/outputs/webhook` has TLS."""

    def __init__(self, directory: Path) -> None:
        self._receiver = Receiver()
        self._secret = directory / "secret"
        self._secret.write_text(SECRET)

    def section(self) -> OutputSection:
        content = {"send": ["alarms", "images"], "secret_file": self._secret}
        return parse_section({"kind": "webhook", "url": self._receiver.url, **content})

    def start(self) -> None:
        self._receiver.start()

    def stop(self) -> None:
        self._receiver.stop()

    def delivered(self) -> list[Delivered]:
        return [self._read(posted) for posted in list(self._receiver.requests)]

    @staticmethod
    def _read(posted: Posted) -> Delivered:
        alarm, part = posted.id.split("/")
        if posted.headers["content-type"] != "application/json":
            return Delivered("cam", alarm, part, None, posted.body)
        document = json.loads(posted.body)
        return Delivered(document["camera"], alarm, document["event"], document["sequence"], posted.body)

    def end(self) -> None:
        self._receiver.stop()


class SparkplugPeer(Peer):
    """A broker that takes births and data, and no messages; `tests/agent/outputs/sparkplug` reads them."""

    takes_messages = False

    def __init__(self, directory: Path) -> None:
        self._broker = Mosquitto(directory / "broker")

    def section(self) -> OutputSection:
        return parse_section({"kind": "sparkplug", "url": self._broker.url})

    def start(self) -> None:
        self._broker.start()

    def stop(self) -> None:
        self._broker.stop()

    def delivered(self) -> list[Delivered]:
        return []


class S3Peer(Peer):
    """A bucket in moto's service."""

    def __init__(self, directory: Path) -> None:
        from tests.support.s3_service import CREDENTIALS, S3Service

        self._service = S3Service()
        self._service.start()
        self._service.stop()
        self._credentials = directory / "credentials"
        self._credentials.write_text(CREDENTIALS)

    def section(self) -> OutputSection:
        content = {"send": ["alarms", "images"], "credentials_file": self._credentials}
        return parse_section({"kind": "s3", "bucket": "inspection", "endpoint": self._service.url, **content})

    def start(self) -> None:
        self._service.start(bucket=None)

    def stop(self) -> None:
        self._service.stop()

    def delivered(self) -> list[Delivered]:
        return [self._read(key, payload) for key, payload in list(self._service.contents)]

    @staticmethod
    def _read(key: str, payload: bytes) -> Delivered:
        alarm, _, name = key.rpartition("/")
        identity, part = alarm.rpartition("/")[2], name.partition(".")[0]
        if not name.endswith(".json"):
            return Delivered("cam", identity, part, None, payload)
        document = json.loads(payload)
        return Delivered(document["camera"], identity, document["event"], document["sequence"], payload)

    def end(self) -> None:
        self._service.stop()


# What somebody writes who adds a kind of output: a settings section, and an output. It appends lines to a file, and is
# away while the file's folder is.
TOY = """
import json
import threading
from pathlib import Path
from typing import Literal

from agent.messages import DeliveryPayload, OutboxPayload
from agent.outputs import Output, OutputSection
from agent.outputs.outbox import Message


class ToySettings(OutputSection):
    kind: Literal["toy"] = "toy"
    path: Path

    def devices(self):
        return [str(self.path)]


class ToyOutput(Output):
    def __init__(self, name, settings, *, site, outbox, problems):
        super().__init__(name)
        self._path, self._outbox = settings.path, outbox
        self._stopping, self._news = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        outbox.on_accepted.append(self._news.set)

    @property
    def destination(self):
        return str(self._path)

    def start(self):
        self._thread.start()

    def stop(self, deadline_seconds):
        self._stopping.set()
        self._news.set()
        self._thread.join(deadline_seconds)
        return not self._thread.is_alive()

    def messages_for(self, recorded):
        alarm = recorded.alarm
        document = {"camera": alarm.camera, "alarm": alarm.id, "part": alarm.event.value, "sequence": recorded.sequence}
        return [Message("", json.dumps(document).encode(), alarm.id, alarm.event.value, output=self.name)]

    def publish_state(self, state):
        pass

    def publish_event(self, event):
        pass

    def report(self):
        counts = self._outbox.counts()
        fields = {name: getattr(counts, name) for name in OutboxPayload.model_fields if name != "missing"}
        return DeliveryPayload(connected=self._path.parent.is_dir(), outbox=OutboxPayload(**fields))

    def _run(self):
        while not self._stopping.is_set():
            for row in self._outbox.next_alarms(100, output=self.name):
                try:
                    with self._path.open("ab") as file:
                        file.write(row.payload + b"\\n")
                except OSError:
                    break
                self._outbox.acknowledge([row.id])
                self._news.set()
            self._news.wait(0.02)
            self._news.clear()
"""


class ToyPeer(Peer):
    """The file that the toy output writes, and the row that makes the kind known."""

    def __init__(self, directory: Path) -> None:
        (directory / "toy_output.py").write_text(TOY)
        sys.path.insert(0, str(directory))
        sys.modules.pop("toy_output", None)
        self._directory = str(directory)
        self._file = directory / "destination" / "alarms.jsonl"
        self._away = directory / "away"
        self._away.mkdir()
        KINDS["toy"] = OutputKind("toy_output:ToySettings", "toy_output:ToyOutput")

    def section(self) -> OutputSection:
        return parse_section({"kind": "toy", "path": str(self._file)})

    def start(self) -> None:
        self._away.rename(self._file.parent)

    def stop(self) -> None:
        self._file.parent.rename(self._away)

    def delivered(self) -> list[Delivered]:
        found = next((folder for folder in (self._file.parent, self._away) if folder.is_dir()), self._away)
        file = found / self._file.name
        lines = file.read_bytes().splitlines() if file.is_file() else []
        return [Delivered(**self._read(line), payload=line) for line in lines]

    @staticmethod
    def _read(line: bytes) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(line)
        return document

    def end(self) -> None:
        KINDS.pop("toy", None)
        sys.path.remove(self._directory)


PEERS: dict[str, type[Peer]] = {
    "gpio": GpioPeer,
    "modbus": ModbusPeer,
    "mqtt": MqttPeer,
    "s3": S3Peer,
    "sparkplug": SparkplugPeer,
    "toy": ToyPeer,
    "webhook": WebhookPeer,
}
