"""Commands over MQTT 5 request/response: each request is checked, executed once, and answered.

They are executed on a thread of their own, one after the other: a command may wait for an inspection thread, delivery
must not. Only in a flood are there requests without a response: alarms come first.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime, timezone
from typing import Protocol

from agent.core.problems import Problems
from agent.messages import MAX_COMMAND_BYTES, CommandResponse, Execute
from agent.mqtt import CommandMessage
from agent.outputs.mqtt.delivery import MessageHandler
from agent.outputs.mqtt.flood import (
    COMMANDS_AT_ONCE,
    COMMANDS_PER_SECOND,
    PAUSE_SECONDS,
    REPORTED_SECONDS,
    RateLimit,
    Rejections,
)
from agent.outputs.mqtt.kept_responses import MAX_KEPT_BYTES, KeptResponses
from agent.outputs.mqtt.topics import CommandTopic, Topics

log = logging.getLogger(__name__)

# Requests that may wait: a technician sends one at a time.
MAX_WAITING = 32

# How often the thread of the commands looks for something to do besides commands.
CHECK_SECONDS = 1.0


class CommandTransport(Protocol):
    """What requests need of the publisher."""

    def subscribe(self, topic_filter: str, handler: MessageHandler) -> None: ...

    def unsubscribe(self, topic_filter: str) -> None: ...

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
        problems: Problems | None = None,
        max_kept_bytes: int = MAX_KEPT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        transport: delivers requests, and takes responses.
        topics: the topic tree.
        execute: executes a command; its errors are part of its response.
        allowed: names of the commands that are allowed over MQTT; None for all. Others are not subscribed to.
        trusted: False if the broker does not authenticate its clients: every command is rejected then.
        problems: where a flood is reported; None for nowhere.
        max_kept_bytes: limit for the responses kept for requests that arrive twice.
        clock: monotonic seconds, the clock of `CommandMessage.received_monotonic`.
        """
        self._transport = transport
        self._topics = topics
        self._execute = execute
        self._allowed = allowed
        self._trusted = trusted
        self._clock = clock
        self._problems = Problems() if problems is None else problems
        self._queue: queue.Queue[tuple[CommandMessage, CommandTopic]] = queue.Queue(MAX_WAITING)
        self._responses = KeptResponses(max_kept_bytes, clock)
        self._arrivals = RateLimit(COMMANDS_PER_SECOND, at_once=COMMANDS_AT_ONCE)
        self._rejections = Rejections()
        # Until when nothing is subscribed to because of a flood, monotonic seconds; None: there was none lately.
        self._paused_until: float | None = None
        self._filters: frozenset[str] = frozenset()
        self._subscribing = threading.Lock()
        self._subscribe()
        threading.Thread(target=self._run, name="commands", daemon=True).start()

    def allow(self, allowed: Collection[str] | None, *, trusted: bool) -> None:
        """Change which commands are allowed; applies to waiting requests too."""
        self._allowed, self._trusted = allowed, trusted
        self._subscribe()

    def _subscribe(self, *, pausing: bool = False) -> None:
        """Subscribe to the commands that are allowed, and to none while a flood of them goes on."""
        with self._subscribing:
            wanted = frozenset(() if pausing else self._topics.command_filters(self._allowed))
            for topic_filter in sorted(self._filters - wanted):
                self._transport.unsubscribe(topic_filter)
            for topic_filter in sorted(wanted - self._filters):
                self._transport.subscribe(topic_filter, self._take)
            self._filters = wanted

    # Arriving, on the publisher's thread

    def _take(self, message: CommandMessage) -> None:
        """Queue a request, reject it at once, or drop it."""
        now = self._clock()
        if not self._arrivals.allows(now):
            self._pause(now)
            return
        command = self._topics.read_command(message.topic)
        if command is None:
            self._rejections.count("its topic is not that of a command, or far too long")
            return
        reason = self._reason_to_reject(message, command)
        if reason is not None:
            self._reject(message, command, reason)
            return
        try:
            self._queue.put_nowait((message, command))
        except queue.Full:
            self._reject(message, command, f"{MAX_WAITING} commands are waiting already; try again later")

    def _pause(self, now: float) -> None:
        """A flood: unsubscribe for a while, so that it does not even have to be read."""
        text = f"more than {COMMANDS_PER_SECOND:.0f} commands a second"
        self._rejections.count(text)
        if not self._filters:
            return
        self._paused_until = now + PAUSE_SECONDS
        log.warning("%s: the agent takes none over MQTT for %.0f s", text, PAUSE_SECONDS)
        self._problems.set("commands", f"{text} arrive over MQTT: some are dropped")
        self._subscribe(pausing=True)

    # Executing, on the thread of the commands

    def _run(self) -> None:
        while True:
            self._end_pause()
            self._rejections.summarise(self._clock())
            try:
                message, command = self._queue.get(timeout=CHECK_SECONDS)
            except queue.Empty:
                continue
            try:
                self._answer(message, command)
            except Exception:
                log.exception("command %s: unexpected error", ascii(command.name)[:100])
                self._reject(message, command, "the agent failed to execute this command; its log has the details")

    def _end_pause(self) -> None:
        now, until = self._clock(), self._paused_until
        if until is None or now < until:
            return
        if not self._filters:
            self._subscribe(pausing=False)
        elif now >= until + REPORTED_SECONDS:
            self._paused_until = None
            self._problems.set("commands", None)

    def _answer(self, message: CommandMessage, command: CommandTopic) -> None:
        reason = self._reason_to_reject(message, command)
        if reason is not None:
            self._reject(message, command, reason)
            return
        payload = self._responses.find(message)
        if payload is None:
            payload = self._execute(command.name, command.camera, message.payload, by="mqtt").to_bytes()
            self._responses.keep(message, payload)
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

    def _reject(self, message: CommandMessage, command: CommandTopic, error: str) -> None:
        if not self._rejections.allows(error, self._clock()):
            return
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


def _printable(text: str) -> str:
    return ascii(text)[1:-1][:200]
