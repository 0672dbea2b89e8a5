"""Commands over MQTT 5 request/response: what comes in is checked, carried out once, and always answered.

Carried out on a thread of its own, one after the other: a command may wait for an inspection thread, delivery may not.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime, timezone
from typing import Protocol

from agent.messages import MAX_COMMAND_BYTES, CommandResponse, Execute
from agent.outputs.mqtt.subscriptions import CommandMessage, MessageHandler
from agent.outputs.mqtt.topics import CommandTopic, Topics

log = logging.getLogger(__name__)

# Commands that wait; a person sends one at a time, and a flood is turned away with an answer.
MAX_WAITING = 32

# Answers kept, so that a request that comes twice (QoS 1) is carried out once.
KEPT_ANSWERS = 1000

# Most answers have under 2 kB, one with images in it has millions.
MAX_KEPT_BYTES = 8 * 1024**2


class CommandTransport(Protocol):
    """What a requester needs of the publisher."""

    def subscribe(self, topic_filter: str, handler: MessageHandler) -> None: ...

    def respond(self, request: CommandMessage, payload: bytes, *, fallback_topic: str) -> None: ...


class MqttRequests:
    """The MQTT side of the control door."""

    def __init__(
        self,
        line: CommandTransport,
        topics: Topics,
        execute: Execute,
        *,
        allowed: Collection[str] | None = None,
        trusted: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        allowed: names of the commands that MQTT may give; None for all.
        trusted: False where nobody checks who connects to the broker: every command is refused then.
        clock: monotonic seconds, the one of `CommandMessage.received_monotonic`.
        """
        self._line = line
        self._topics = topics
        self._execute = execute
        self._allowed = allowed
        self._trusted = trusted
        self._clock = clock
        self._queue: queue.Queue[tuple[CommandMessage, CommandTopic]] = queue.Queue(MAX_WAITING)
        self._answers: OrderedDict[tuple[str, str, bytes], bytes] = OrderedDict()
        self._kept_bytes = 0
        for topic_filter in topics.command_filters():
            line.subscribe(topic_filter, self._take)
        threading.Thread(target=self._work, name="commands", daemon=True).start()

    def allow(self, allowed: Collection[str] | None, *, trusted: bool) -> None:
        """Change what may be commanded; counts for what waits already."""
        self._allowed, self._trusted = allowed, trusted

    def _take(self, message: CommandMessage) -> None:
        """On the publisher's thread: into the queue, or an answer at once."""
        asked = self._topics.read_command(message.topic)
        if asked is None:
            return
        try:
            self._queue.put_nowait((message, asked))
        except queue.Full:
            self._refuse(message, asked, f"{MAX_WAITING} commands wait already; try again later")

    def _work(self) -> None:
        while True:
            message, asked = self._queue.get()
            try:
                self._answer(message, asked)
            except Exception:
                log.exception("command %s: unexpected error", ascii(asked.name)[:100])
                self._refuse(message, asked, "the agent failed on this command; its log says more")

    def _answer(self, message: CommandMessage, asked: CommandTopic) -> None:
        fault = self._fault(message, asked)
        if fault is not None:
            self._refuse(message, asked, fault)
            return
        key = _identity(message)
        payload = self._answers.get(key) if key is not None else None
        if payload is None:
            payload = self._execute(asked.name, asked.camera, message.payload, by="mqtt").to_bytes()
            self._keep(key, payload)
        self._send(message, asked, payload)

    def _fault(self, message: CommandMessage, asked: CommandTopic) -> str | None:
        """Why a message is no command that may be carried out; None where it is one."""
        if message.retained:
            return "a retained command is refused: it would come again with every connection"
        if message.expiry_seconds is not None and self._clock() - message.received_monotonic > message.expiry_seconds:
            return f"the command has expired: its {message.expiry_seconds} s were over before its turn"
        if not self._trusted:
            return "commands are refused on a connection without TLS or a password; the settings can allow them"
        if self._allowed is not None and asked.name not in self._allowed:
            return f"this command is not among those that the settings allow over MQTT: {', '.join(self._allowed)}"
        if len(message.payload) > MAX_COMMAND_BYTES:
            return f"{len(message.payload)} bytes, at most {MAX_COMMAND_BYTES} are taken"
        return None

    def _keep(self, key: tuple[str, str, bytes] | None, payload: bytes) -> None:
        if key is not None:
            self._answers[key] = payload
            self._kept_bytes += len(payload)
            # The latest one stays, however long it is: it is the one that comes twice.
            while len(self._answers) > KEPT_ANSWERS or (self._kept_bytes > MAX_KEPT_BYTES and len(self._answers) > 1):
                self._kept_bytes -= len(self._answers.popitem(last=False)[1])

    def _refuse(self, message: CommandMessage, asked: CommandTopic, error: str) -> None:
        log.info("command %s refused: %s", ascii(asked.name)[:100], error)
        response = CommandResponse(
            command=_printable(asked.name),
            site=self._topics.site,
            camera=None if asked.camera is None else _printable(asked.camera),
            at=datetime.now(timezone.utc),
            ok=False,
            error=error,
        )
        self._send(message, asked, response.to_bytes())

    def _send(self, message: CommandMessage, asked: CommandTopic, payload: bytes) -> None:
        fallback = f"{message.topic.removesuffix(f'/command/{asked.name}')}/response/{asked.name}"
        self._line.respond(message, payload, fallback_topic=fallback)


def _identity(message: CommandMessage) -> tuple[str, str, bytes] | None:
    """What makes two messages the same request; None where the sender gave no correlation data."""
    if message.correlation_data is None:
        return None
    return message.topic, message.response_topic or "", message.correlation_data


def _printable(text: str) -> str:
    return ascii(text)[1:-1][:200]
