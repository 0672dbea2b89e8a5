"""What a subscriber does with the agents' messages: print alarms once, save documents and images.

Delivery is at least once, so it remembers the alarms it has seen, by id and event.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.core.errors import Permanent
from agent.core.records import PAUSED, AlarmEvent
from agent.messages import (
    AlarmPayload,
    EventPayload,
    OmittedPayload,
    Presence,
    ResultPayload,
    StatusPayload,
    VerdictPayload,
    parse,
)

OnLine = Callable[[str], None]

# By id and event, the oldest first.
_Remembered = OrderedDict[tuple[str, str], None]

# Remembered alarms. A broker repeats the messages that were in flight: a few dozen at most.
REMEMBERED = 10_000

RESULTS = "results.jsonl"
"""Name of the file, in the folder of a camera, with a line for the result of each part."""

_FILE_NAMES = {"heatmap": "heatmap.png", "overlay": "overlay.jpg", "frame": "frame.jpg"}


class Watcher:
    """Takes messages of agents, prints alarms and events as lines, saves alarms."""

    def __init__(self, on_line: OnLine, *, out: Path | None = None) -> None:
        """Args:
        on_line: takes each line.
        out: alarms are saved here as `<camera>/<alarm id>/raised.json`, `cleared.json`, `overlay.jpg` …, results of
            parts in `<camera>/results.jsonl`, their heatmaps as those of alarms; None: nowhere.
        """
        self._on_line = on_line
        self._out = out
        self._printed: _Remembered = OrderedDict()
        self._saved: _Remembered = OrderedDict()
        # The reason for which the last file could not be saved; None: it was saved.
        self._save_error: str | None = None
        self._cameras: dict[str, str] = {}
        self._status: dict[str, str] = {}

    def take(self, topic: str, payload: bytes) -> None:
        """Handle one message on any topic. An invalid one is a line; so is a full disk, once for all files in a row."""
        try:
            self._take(topic.split("/"), payload)
        except Permanent as error:
            self._on_line(f"{_printable(topic)}: {error}")

    def _take(self, levels: list[str], payload: bytes) -> None:
        match levels:
            case [*_, "alarm"]:
                self._take_alarm(parse(AlarmPayload, payload))
            case [*_, "result"]:
                self._take_result(parse(ResultPayload, payload))
            case [*_, "status"]:
                self._take_status(parse(StatusPayload, payload))
            case [*_, "event"]:
                self._take_event(parse(EventPayload, payload))
            case [*_, "omitted"]:
                note = parse(OmittedPayload, payload)
                self._on_line(f"{note.camera}: the {note.picture} of alarm {note.id} was omitted: {note.reason}")
            case [*_, "alarm", _, "verdict"]:
                verdict = parse(VerdictPayload, payload)
                judged = f"judged {verdict.verdict} by {_printable(verdict.by)}"
                self._on_line(f"{_printable(verdict.camera)}: alarm {_printable(verdict.id)} {judged}")
            case [*_, camera, "alarm" | "result", identity, kind] if kind in _FILE_NAMES:
                self._save(self._cameras.get(identity, camera), identity, _FILE_NAMES[kind], payload)

    def _take_alarm(self, alarm: AlarmPayload) -> None:
        """Print, then save, so that a full disk does not hide the alarm; a repetition saves what could not be saved."""
        key = (alarm.id, alarm.event.value)
        self._remember_camera(alarm.id, alarm.camera)
        if key not in self._printed:
            self._on_line(alarm_line(alarm))
            _remember(self._printed, key)
        document = json.dumps(alarm.model_dump(mode="json", by_alias=True), indent=2) + "\n"
        if key not in self._saved and self._save(alarm.camera, alarm.id, f"{key[1]}.json", document.encode()):
            _remember(self._saved, key)

    def _take_result(self, result: ResultPayload) -> None:
        """Add a line to the results of its camera; a repetition only where it could not be saved before."""
        self._remember_camera(result.id, result.camera)
        key = (result.id, "result")
        line = result.model_dump_json(by_alias=True).encode() + b"\n"
        if key not in self._saved and self._save(result.camera, None, RESULTS, line, append=True):
            _remember(self._saved, key)

    def _remember_camera(self, identity: str, camera: str) -> None:
        """With topics of the plant's own, the topic of an image need not contain the camera's name."""
        self._cameras[identity] = camera
        if len(self._cameras) > REMEMBERED:
            del self._cameras[next(iter(self._cameras))]

    def _take_event(self, event: EventPayload) -> None:
        key = (event.id, event.event)
        if key not in self._printed:
            at = f"{event.at.astimezone():%H:%M:%S.%f}"[:-3]
            self._on_line(f"{at}  {_printable(event.camera)}  {event.event.upper()}  {_printable(event.text)}")
            _remember(self._printed, key)

    def _take_status(self, status: StatusPayload) -> None:
        if self._status.get(status.site) == status.status.value:
            return
        self._status[status.site] = status.status.value
        offline = status.status is Presence.OFFLINE
        hint = "; the states of its cameras are outdated" if offline else ""
        self._on_line(f"{_printable(status.site)}: agent {status.status.value}{hint}")

    def _save(self, camera: str, alarm_id: str | None, name: str, payload: bytes, *, append: bool = False) -> bool:
        """Save a file of an alarm, or of a camera, where files are wanted; False if that failed.

        The first failure is a line. `append`: add to the file.
        """
        if self._out is None:
            return True
        folder = self._out / _file_name(camera)
        file = (folder if alarm_id is None else folder / _file_name(alarm_id)) / name
        try:
            (_append if append else _write)(file, payload)
        except OSError as error:
            reason = error.strerror or str(error)
            if reason != self._save_error:
                self._on_line(f"cannot save to {self._out}: {reason}")
            self._save_error = reason
            return False
        if self._save_error is not None:
            self._on_line(f"files are saved to {self._out} again")
        self._save_error = None
        return True


def _remember(keys: _Remembered, key: tuple[str, str]) -> None:
    keys[key] = None
    if len(keys) > REMEMBERED:
        keys.popitem(last=False)


def _write(file: Path, payload: bytes) -> None:
    """Write a file completely or not at all. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_name(f".{file.name}.part")
    try:
        half.write_bytes(payload)
        half.replace(file)
    except OSError:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise


def _append(file: Path, payload: bytes) -> None:
    """Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as lines:
        lines.write(payload)


def alarm_line(alarm: AlarmPayload) -> str:
    """An alarm as one line, in local time."""
    at = f"{alarm.captured_at.astimezone():%H:%M:%S.%f}"[:-3]
    head = f"{at}  {_printable(alarm.camera)}  #{alarm.sequence}"
    if alarm.event is AlarmEvent.RAISED:
        return f"{head}  RAISED   {_raised(alarm)}"
    return f"{head}  cleared  {_cleared(alarm)}"


def _raised(alarm: AlarmPayload) -> str:
    if alarm.reason is not None:
        return f"{alarm.kind.value}: {_printable(alarm.reason)}"
    place = ""
    if alarm.regions:
        hottest = alarm.regions[0]
        place = f"  at x {hottest.x}–{hottest.x + hottest.width}, y {hottest.y}–{hottest.y + hottest.height}"
    over = "" if alarm.threshold is None else f" over threshold {alarm.threshold:.4g}"
    file = "" if alarm.origin is None else f"  file {_printable(alarm.origin)}"
    return f"score {alarm.score:.4g}{over}{place}{file}"


def _cleared(alarm: AlarmPayload) -> str:
    if alarm.reason is None:
        return f"highest score {alarm.score:.4g}"
    if alarm.reason == PAUSED:
        return f"{alarm.kind.value}: the camera is paused"
    return f"{alarm.kind.value}: no longer {_printable(alarm.reason.partition(':')[0])}"


def _file_name(text: str) -> str:
    """A file name from text of the network, without any way out of the folder."""
    name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in text)[:120].strip(". ")
    return name or "_"


def _printable(text: str) -> str:
    """Text of the network for a terminal, without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
