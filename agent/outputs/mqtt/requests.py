"""Commands over MQTT 5 request/response: each request is checked, executed once, and always answered.

They are executed on a thread of their own, one after the other: a command may wait for an inspection thread, delivery
must not.
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
from agent.outputs.mqtt.connection import CommandMessage
from agent.outputs.mqtt.delivery import MessageHandler
from agent.outputs.mqtt.topics import CommandTopic, Topics

log = logging.getLogger(__name__)

# Requests that may wait: a technician sends one at a time, and a flood is rejected with a response each.
MAX_WAITING = 32

# Responses kept, so that a request that arrives twice (QoS 1) is executed once.
KEPT_RESPONSES = 1000

# Most responses have less than 2 kB, one with images has megabytes.
MAX_KEPT_BYTES = 8 * 1024**2


class CommandTransport(Protocol):
    """What requests need of the publisher."""

    def subscribe(self, topic_filter: str, handler: MessageHandler) -> None: ...

    def respond(self, request: CommandMessage, payload: bytes, *, fallback_topic: str) -> None: ...


class MqttRequests:
    """Takes requests from MQTT, executes them, and responds."""

    def __init__(
        self,
        transport: CommandTransport,
        topics: Topics,
        execute: Execute,
        *,
        allowed: Collection[str] | None = None,
        trusted: bool = True,
        max_kept_bytes: int = MAX_KEPT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        transport: delivers requests, and takes responses.
        topics: the topic tree.
        execute: executes a command; its errors are part of its response.
        allowed: names of the commands that are allowed over MQTT; None for all.
        trusted: False if the broker does not authenticate its clients: every command is rejected then.
        max_kept_bytes: limit for the responses kept for requests that arrive twice.
        clock: monotonic seconds, the clock of `CommandMessage.received_monotonic`.
        """
        self._transport = transport
        self._topics = topics
        self._execute = execute
        self._allowed = allowed
        self._trusted = trusted
        self._max_kept_bytes = max_kept_bytes
        self._clock = clock
        self._queue: queue.Queue[tuple[CommandMessage, CommandTopic]] = queue.Queue(MAX_WAITING)
        self._responses: OrderedDict[tuple[str, str, bytes], bytes] = OrderedDict()
        self._kept_bytes = 0
        for topic_filter in topics.command_filters():
            transport.subscribe(topic_filter, self._take)
        threading.Thread(target=self._run, name="commands", daemon=True).start()

    def allow(self, allowed: Collection[str] | None, *, trusted: bool) -> None:
        """Change which commands are allowed; applies to waiting requests too."""
        self._allowed, self._trusted = allowed, trusted

    def _take(self, message: CommandMessage) -> None:
        """Queue a request, or reject it at once; called on the publisher's thread."""
        command = self._topics.read_command(message.topic)
        if command is None:
            return
        try:
            self._queue.put_nowait((message, command))
        except queue.Full:
            self._reject(message, command, f"{MAX_WAITING} commands are waiting already; try again later")

    def _run(self) -> None:
        while True:
            message, command = self._queue.get()
            try:
                self._answer(message, command)
            except Exception:
                log.exception("command %s: unexpected error", ascii(command.name)[:100])
                self._reject(message, command, "the agent failed to execute this command; its log has the details")

    def _answer(self, message: CommandMessage, command: CommandTopic) -> None:
        reason = self._reason_to_reject(message, command)
        if reason is not None:
            self._reject(message, command, reason)
            return
        key = _request_key(message)
        payload = self._responses.get(key) if key is not None else None
        if payload is None:
            payload = self._execute(command.name, command.camera, message.payload, by="mqtt").to_bytes()
            self._keep(key, payload)
        self._send(message, command, payload)

    def _reason_to_reject(self, message: CommandMessage, command: CommandTopic) -> str | None:
        """Why a request must not be executed; None if it may be."""
        if message.retained:
            return "retained commands are rejected: the broker would send them again on every connection"
        if message.expiry_seconds is not None and self._clock() - message.received_monotonic > message.expiry_seconds:
            return f"the command has expired: it waited longer than {message.expiry_seconds} s"
        if not self._trusted:
            return "commands are rejected on a connection without TLS or a password; the settings can allow them"
        if self._allowed is not None and command.name not in self._allowed:
            return f"this command is not among those that the settings allow over MQTT: {', '.join(self._allowed)}"
        if len(message.payload) > MAX_COMMAND_BYTES:
            return f"got {len(message.payload)} bytes, wanted at most {MAX_COMMAND_BYTES}"
        return None

    def _keep(self, key: tuple[str, str, bytes] | None, payload: bytes) -> None:
        """Keep a response for a repeated request. The latest is kept whatever its size: it is the likely one."""
        if key is None:
            return
        kept = self._responses
        kept[key] = payload
        self._kept_bytes += len(payload)
        while len(kept) > KEPT_RESPONSES or (self._kept_bytes > self._max_kept_bytes and len(kept) > 1):
            self._kept_bytes -= len(kept.popitem(last=False)[1])

    def _reject(self, message: CommandMessage, command: CommandTopic, error: str) -> None:
        log.info("command %s rejected: %s", ascii(command.name)[:100], error)
        response = CommandResponse(
            command=_printable(command.name),
            site=self._topics.site,
            camera=None if command.camera is None else _printable(command.camera),
            at=datetime.now(timezone.utc),
            ok=False,
            error=error,
        )
        self._send(message, command, response.to_bytes())

    def _send(self, message: CommandMessage, command: CommandTopic, payload: bytes) -> None:
        fallback = f"{message.topic.removesuffix(f'/command/{command.name}')}/response/{command.name}"
        self._transport.respond(message, payload, fallback_topic=fallback)


def _request_key(message: CommandMessage) -> tuple[str, str, bytes] | None:
    """The same for two messages of one request; None if the sender gave no correlation data."""
    if message.correlation_data is None:
        return None
    return message.topic, message.response_topic or "", message.correlation_data


def _printable(text: str) -> str:
    return ascii(text)[1:-1][:200]
