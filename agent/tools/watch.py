"""`inspectd watch`: a subscriber for people, and an example for those who write one."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.core.backoff import Backoff
from agent.core.errors import Permanent, Temporary
from agent.mqtt import Broker, Connected, Connection, Protocol, Received, Subscribed, UnsupportedVersion
from agent.outputs.mqtt import Topics, check_level
from agent.tools.watcher import OnLine, Watcher

# With a persistent session, the broker keeps alarms for a disconnected subscriber this long.
SESSION_SECONDS = 7 * 24 * 3600

# Topics of a camera that are printed, and those that are only saved.
_TOPICS = ("alarm", "alarm/+/+", "event")
_SAVED_TOPICS = ("result", "result/+/heatmap")


def watch(
    url: str,
    *,
    on_line: OnLine,
    prefix: str = "inspectd",
    site: str = "+",
    camera: str = "+",
    out: Path | None = None,
    client_id: str | None = None,
    username: str | None = None,
    password_file: Path | None = None,
    ca_file: Path | None = None,
    certificate_file: Path | None = None,
    key_file: Path | None = None,
    topics: Topics | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Watch until Ctrl-C, SIGTERM or `stop`. Reconnects to the broker with back-off.

    `topics`: the topics of one agent; `prefix`, `site` and `camera` are ignored then.
    With a `client_id` the session is persistent: the broker keeps alarms while this subscriber is disconnected.
    Raises Permanent for an invalid address or name, and where `out` cannot be a folder.
    """
    broker = Broker(
        url,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
        certificate_file=certificate_file,
        key_file=key_file,
    )
    rest = _TOPICS if out is None else (*_TOPICS, *_SAVED_TOPICS)
    filters = topic_filters(prefix, site, camera, rest) if topics is None else agent_filters(topics, rest)
    if out is not None:
        _make_folder(out)
    subscription = _Subscription(broker, filters, client_id, Watcher(on_line, out=out), on_line)
    with _until_signalled(stop or threading.Event()) as (stopping, wake):
        _follow(subscription, stopping, wake)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Permanent(f"{out}: cannot be made ({error.strerror}); wanted a folder for images") from None


def topic_filters(prefix: str, site: str, camera: str, rest: Sequence[str] = _TOPICS) -> list[str]:
    """Topic filters for the default topics; `site` and `camera` may be `+`. Raises Permanent for an invalid name."""
    for level, name in (("site", site), ("camera", camera)):
        if name != "+":
            check_level(level, name)
    return [*(f"{prefix}/{site}/{camera}/{each}" for each in rest), f"{prefix}/{site}/status"]


def agent_filters(topics: Topics, rest: Sequence[str] = _TOPICS) -> list[str]:
    """Topic filters for one agent, wherever its topics are."""
    return [*map(topics.every_camera, rest), topics.status()]


@dataclass(frozen=True, slots=True)
class _Subscription:
    broker: Broker
    filters: list[str]
    client_id: str | None
    watcher: Watcher
    on_line: OnLine

    def connection(self, protocol: Protocol, wake: socket.socket) -> Connection:
        return Connection(
            self.broker,
            client_id=self.client_id or "",
            protocol=protocol,
            wake=wake,
            session_expiry_seconds=SESSION_SECONDS if self.client_id else 0,
            clean_start=self.client_id is None,
        )


def _follow(subscription: _Subscription, stopping: threading.Event, wake: socket.socket) -> None:
    """Connect and listen, again and again. The first of several failures in a row is printed."""
    backoff, protocol, failed_before = Backoff(0.2, 10.0), Protocol.MQTT_5, False
    while not stopping.is_set():
        connection = subscription.connection(protocol, wake)
        try:
            connection.open()
            _listen(connection, subscription, stopping, backoff)
        except UnsupportedVersion:
            protocol = Protocol.MQTT_3_1_1
        except Temporary as error:
            if not failed_before:
                subscription.on_line(f"{error}; trying again")
            failed_before = True
        else:
            failed_before = False
        finally:
            connection.close()
        if not stopping.is_set():
            stopping.wait(backoff.next_seconds())


def _listen(connection: Connection, subscription: _Subscription, stopping: threading.Event, backoff: Backoff) -> None:
    while not stopping.is_set():
        for event in connection.turn(1.0):
            if isinstance(event, Connected):
                backoff.reset()
                for topic_filter in subscription.filters:
                    connection.subscribe(topic_filter)
            elif isinstance(event, Received):
                subscription.watcher.take(event.topic, event.payload)
            elif isinstance(event, Subscribed) and event.code >= 0x80:
                raise Temporary(f"the broker rejects the subscription to {event.topic_filter}: {event.reason}")
    connection.disconnect()
    with suppress(Temporary):
        connection.turn(0.05)


@contextmanager
def _until_signalled(stopping: threading.Event) -> Iterator[tuple[threading.Event, socket.socket]]:
    """`stopping`, set by SIGINT and SIGTERM, and a socket that they make readable. No signals off the main thread."""
    wake, waker = socket.socketpair()
    wake.setblocking(False)

    def stop(*_: object) -> None:
        stopping.set()
        waker.send(b"\0")

    here = threading.current_thread() is threading.main_thread()
    before = [(number, signal.signal(number, stop)) for number in (signal.SIGINT, signal.SIGTERM)] if here else []
    try:
        yield stopping, wake
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        wake.close()
        waker.close()
