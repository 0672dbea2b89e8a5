"""A real Mosquitto for the tests, and a subscriber that uses none of our code."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin")


# The kernel assigns ports from 32768 on by itself: a lower one is not lost to a connection, or to a server with port 0,
# before the program that it is for has opened it. Each process that runs tests has a part of them to itself.
_PORTS = range(16_384, 32_768)
_OF_A_PROCESS = 1024
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", f"gw{os.getpid()}").removeprefix("gw")
_assigned = itertools.count(random.SystemRandom().randrange(_OF_A_PROCESS))


def free_port() -> int:
    """A TCP port of the loopback interface that is free, and that no other call returns soon."""
    first = int(_WORKER) * _OF_A_PROCESS % len(_PORTS)
    own = _PORTS[first : first + _OF_A_PROCESS]
    for number in itertools.islice(_assigned, _OF_A_PROCESS):
        port = own[number % _OF_A_PROCESS]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port from {own[0]} to {own[-1]} is free")


def wait_until(condition: Callable[[], Any], *, seconds: float = 60.0, what: str = "the condition") -> None:
    """Check the condition repeatedly; fails the test after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


class Mosquitto:
    """One broker on a free port, by default of the loopback interface; its files are in `directory`."""

    def __init__(
        self,
        directory: Path,
        *,
        persistence: bool = False,
        lines: Sequence[str] = (),
        host: str = "127.0.0.1",
        inside: Sequence[str] = (),
    ) -> None:
        """`lines` are added to its configuration; `inside` is a command prefix that runs it where `host` is local."""
        self.directory = directory
        self.host = host
        self.port = free_port()
        self._inside = list(inside)
        self._persistence = persistence
        self.lines = list(lines)
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def start(self) -> Mosquitto:
        assert MOSQUITTO is not None
        configuration = [
            f"listener {self.port} {self.host}",
            "user root",
            "set_tcp_nodelay true",
            "max_queued_messages 100000",
            f"persistence {str(self._persistence).lower()}",
            f"persistence_location {self.directory}/",
            *(["autosave_on_changes true", "autosave_interval 1"] if self._persistence else []),
            *([] if any("allow_anonymous" in line for line in self.lines) else ["allow_anonymous true"]),
            *self.lines,
        ]
        file = self.directory / "mosquitto.conf"
        file.write_text("\n".join(configuration) + "\n")
        with (self.directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([*self._inside, MOSQUITTO, "-c", str(file)], stdout=log, stderr=log)
        wait_until(self._answers, what=f"Mosquitto on port {self.port}")
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "mosquitto.log").read_text()
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: what is not on its disk is lost."""
        self._signal(signal.SIGKILL)
        self._wait()

    def stop(self) -> None:
        """End cleanly: with persistence, everything is kept."""
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGCONT)
            self._terminate()

    def _terminate(self) -> None:
        """Repeat SIGTERM: Mosquitto loses one that arrives between opening its port and its main loop."""
        assert self._process is not None
        for _ in range(5):
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
                return
        raise AssertionError("mosquitto does not end on SIGTERM")

    def end(self) -> None:
        """End it in whatever state it is, for the end of a test."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(60)

    def suspend(self) -> None:
        """SIGSTOP: connections stay open, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """Read rights and certificates again."""
        self._signal(signal.SIGHUP)

    def restart(self) -> None:
        self.stop()
        self.start()


@dataclass(frozen=True)
class Arrived:
    """A message as the subscriber received it."""

    topic: str
    payload: bytes
    retained: bool
    properties: Any
    at: float
    """Monotonic seconds."""


class Subscriber:
    """A subscriber with a session that the broker keeps, built directly on paho."""

    def __init__(
        self, broker: Mosquitto, *topic_filters: str, client_id: str = "", protocol: int = paho.MQTTv5, tls: Any = None
    ) -> None:
        self.messages: list[Arrived] = []
        self._filters = topic_filters or ("#",)
        self._subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._on_message
        options: dict[str, Any] = {}
        if protocol == paho.MQTTv5:
            options["properties"] = Properties(PacketTypes.CONNECT)
            options["properties"].SessionExpiryInterval = 3600 if client_id else 0
            options["clean_start"] = not client_id
        self.client.connect(broker.host, broker.port, keepalive=5, **options)
        self.client.loop_start()
        assert self._subscribed.wait(60), "no SUBACK"

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe([(topic_filter, 1) for topic_filter in self._filters])

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        arrived = Arrived(
            message.topic, bytes(message.payload), bool(message.retain), message.properties, time.monotonic()
        )
        self.messages.append(arrived)

    def on(self, ending: str) -> list[Arrived]:
        """Messages on topics with this ending."""
        return [message for message in list(self.messages) if message.topic.endswith(ending)]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, **properties: Any) -> None:
        """Publish at QoS 1, with MQTT 5 properties by their paho names, and wait for the PUBACK."""
        with_properties = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(with_properties, name, value)
        sent = self.client.publish(topic, payload, 1, retain, with_properties)
        sent.wait_for_publish(60)
        assert sent.is_published(), f"no PUBACK for {topic}"

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
