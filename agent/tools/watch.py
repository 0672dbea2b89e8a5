"""A subscriber for people: alarms as they come, one line each, their pictures saved. And the example of a subscriber.

It keeps what a subscriber of ours has to keep: alarms it has seen, by id and event, since delivery is at least once.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.core.backoff import Backoff
from agent.core.errors import Permanent, Temporary
from agent.core.records import PAUSED, AlarmEvent
from agent.messages import AlarmPayload, EventPayload, OmittedPayload, StatusPayload, parse
from agent.outputs.mqtt import (
    Broker,
    Connected,
    Connection,
    Protocol,
    Received,
    Subscribed,
    Topics,
    UnsupportedVersion,
    check_level,
)

OnLine = Callable[[str], None]

# Alarms remembered to know a repetition; a broker repeats what was in flight, at most a few dozen.
REMEMBERED = 10_000

# With a persistent session, the broker keeps alarms for a subscriber that is away this long.
SESSION_SECONDS = 7 * 24 * 3600

_PICTURES = {"heatmap": "heatmap.png", "overlay": "overlay.jpg", "frame": "frame.jpg"}


class Watcher:
    """Takes messages of agents, tells of alarms in lines, saves documents and pictures."""

    def __init__(self, on_line: OnLine, *, out: Path | None = None) -> None:
        """`out`: alarms are saved below it as `<camera>/<alarm id>/raised.json`, `cleared.json`, `overlay.jpg` …"""
        self._on_line = on_line
        self._out = out
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._cameras: dict[str, str] = {}
        self._status: dict[str, str] = {}

    def take(self, topic: str, payload: bytes) -> None:
        """One message, whatever it is; one that makes no sense is told of in a line."""
        levels = topic.split("/")
        try:
            if levels[-1] == "alarm":
                self._take_alarm(parse(AlarmPayload, payload))
            elif levels[-1] == "status":
                self._take_status(parse(StatusPayload, payload))
            elif levels[-1] == "event":
                self._take_event(parse(EventPayload, payload))
            elif levels[-1] == "omitted":
                note = parse(OmittedPayload, payload)
                self._on_line(f"{note.camera}: the {note.picture} of alarm {note.id} was left out: {note.reason}")
            elif levels[-1] in _PICTURES and len(levels) > 3 and levels[-3] == "alarm":
                camera = self._cameras.get(levels[-2], levels[-4])
                self._save(camera, levels[-2], _PICTURES[levels[-1]], payload)
        except Permanent as error:
            self._on_line(f"{_plain(topic)}: {error}")
        except OSError as error:
            self._on_line(f"cannot save to {self._out}: {error.strerror}")

    def _take_alarm(self, alarm: AlarmPayload) -> None:
        if not self._first_time(alarm.id, alarm.event.value):
            return
        # In a tree of the plant's own, the topic of a picture need not end with the camera's name.
        self._cameras[alarm.id] = alarm.camera
        if len(self._cameras) > REMEMBERED:
            del self._cameras[next(iter(self._cameras))]
        document = json.dumps(alarm.model_dump(mode="json", by_alias=True), indent=2) + "\n"
        self._save(alarm.camera, alarm.id, f"{alarm.event.value}.json", document.encode())
        self._on_line(describe(alarm))

    def _take_event(self, event: EventPayload) -> None:
        if self._first_time(event.id, event.event):
            at = f"{event.at.astimezone():%H:%M:%S.%f}"[:-3]
            self._on_line(f"{at}  {_plain(event.camera)}  {event.event.upper()}  {_plain(event.text)}")

    def _first_time(self, identity: str, event: str) -> bool:
        """Delivery is at least once: False for a repetition."""
        if (identity, event) in self._seen:
            return False
        self._seen[identity, event] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def _take_status(self, status: StatusPayload) -> None:
        if self._status.get(status.site) == status.status.value:
            return
        self._status[status.site] = status.status.value
        self._on_line(f"{_plain(status.site)}: agent {status.status.value}")

    def _save(self, camera: str, alarm_id: str, name: str, payload: bytes) -> None:
        if self._out is None:
            return
        folder = self._out / _file_name(camera) / _file_name(alarm_id)
        folder.mkdir(parents=True, exist_ok=True)
        half = folder / f".{name}.part"
        half.write_bytes(payload)
        half.replace(folder / name)


def describe(alarm: AlarmPayload) -> str:
    """An alarm in one readable line, in local time."""
    at = f"{alarm.captured_at.astimezone():%H:%M:%S.%f}"[:-3]
    head = f"{at}  {_plain(alarm.camera)}  #{alarm.sequence}"
    if alarm.event is AlarmEvent.CLEARED and alarm.reason == PAUSED:
        return f"{head}  cleared  {alarm.kind.value}: paused, nobody looks"
    if alarm.event is AlarmEvent.CLEARED and alarm.reason is not None:
        return f"{head}  cleared  {alarm.kind.value}: no longer {_plain(alarm.reason.partition(':')[0])}"
    if alarm.event is AlarmEvent.CLEARED:
        return f"{head}  cleared  highest score {alarm.score:.4g}"
    if alarm.reason is not None:
        return f"{head}  RAISED   {alarm.kind.value}: {_plain(alarm.reason)}"
    place = ""
    if alarm.regions:
        hottest = alarm.regions[0]
        place = f"  at x {hottest.x}–{hottest.x + hottest.width}, y {hottest.y}–{hottest.y + hottest.height}"
    over = "" if alarm.threshold is None else f" over threshold {alarm.threshold:.4g}"
    return f"{head}  RAISED   score {alarm.score:.4g}{over}{place}"


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
    """Watches until Ctrl-C, SIGTERM or `stop`; a broker that is away is tried again.

    `topics`: the tree of one agent; `prefix` and `site` are not looked at then.
    With a `client_id` the session is persistent: the broker keeps alarms while this subscriber is away.
    Raises `Permanent` for an address or a name that is none.
    """
    broker = Broker(
        url,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
        certificate_file=certificate_file,
        key_file=key_file,
    )
    filters = topic_filters(prefix, site, camera) if topics is None else tree_filters(topics)
    watcher = Watcher(on_line, out=out)
    with _until_signalled(stop or threading.Event()) as (stopping, wake):
        _follow(broker, filters, watcher, client_id, stopping, wake, on_line)


def topic_filters(prefix: str, site: str, camera: str) -> list[str]:
    """What a watcher subscribes to; `site` and `camera` may be `+`."""
    for what, name in (("site", site), ("camera", camera)):
        if name != "+":
            check_level(what, name)
    here = f"{prefix}/{site}/{camera}"
    return [f"{here}/alarm", f"{here}/alarm/+/+", f"{here}/event", f"{prefix}/{site}/status"]


def tree_filters(topics: Topics) -> list[str]:
    """The same for one agent, wherever its topics are."""
    return [*map(topics.every_camera, ("alarm", "alarm/+/+", "event")), topics.status()]


def _follow(
    broker: Broker,
    filters: list[str],
    watcher: Watcher,
    client_id: str | None,
    stopping: threading.Event,
    wake: socket.socket,
    on_line: OnLine,
) -> None:
    backoff, protocol, told = Backoff(0.2, 10.0), Protocol.MQTT_5, False
    while not stopping.is_set():
        connection = Connection(
            broker,
            client_id=client_id or "",
            protocol=protocol,
            wake=wake,
            session_expiry_seconds=SESSION_SECONDS if client_id else 0,
            clean_start=client_id is None,
        )
        try:
            connection.open()
            _listen(connection, filters, watcher, stopping, backoff)
        except UnsupportedVersion:
            protocol = Protocol.MQTT_3_1_1
        except Temporary as error:
            if not told:
                on_line(f"{error}; trying again")
            told = True
        else:
            told = False
        finally:
            connection.close()
        if not stopping.is_set():
            stopping.wait(backoff.next_seconds())


def _listen(
    connection: Connection, filters: list[str], watcher: Watcher, stopping: threading.Event, backoff: Backoff
) -> None:
    while not stopping.is_set():
        for event in connection.turn(1.0):
            if isinstance(event, Connected):
                backoff.reset()
                for topic_filter in filters:
                    connection.subscribe(topic_filter)
            elif isinstance(event, Received):
                watcher.take(event.topic, event.payload)
            elif isinstance(event, Subscribed) and event.code >= 0x80:
                raise Temporary(f"the broker refuses the subscription to {event.topic_filter}: {event.reason}")
    connection.disconnect()
    with suppress(Temporary):
        connection.turn(0.05)


@contextmanager
def _until_signalled(stopping: threading.Event) -> Iterator[tuple[threading.Event, socket.socket]]:
    """An event that SIGINT and SIGTERM set, and a socket that they make readable; the main thread only has signals."""
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


def _file_name(text: str) -> str:
    """A name from the network as the name of one file: nothing that leaves the folder."""
    name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in text)[:120].strip(". ")
    return name or "_"


def _plain(text: str) -> str:
    """Text from the network for a terminal: no control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


__all__ = ["Watcher", "describe", "topic_filters", "tree_filters", "watch"]
