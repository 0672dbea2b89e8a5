"""All cameras of a broker: takes documents, and gives one row for each camera. For one thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agent.core.errors import Permanent
from agent.fleet.broker.documents import Document
from agent.fleet.broker.faults import Faults
from agent.fleet.broker.subscriber import Link
from agent.fleet.broker.topic_tree import Place
from agent.fleet.cameras.conditions import SILENT_SECONDS, Clock, Condition, conditions_of, joined_conditions
from agent.fleet.cameras.rows import Row, agent_fields, camera_fields, group_fields, severity_of, short, text_of
from agent.messages import CountPayload, StatePayload, StatusPayload, parse

MODELS: dict[str, type[StatusPayload] | type[StatePayload] | type[CountPayload]] = {
    "status": StatusPayload,
    "state": StatePayload,
    "count": CountPayload,
}
"""The documents of which the latest counts."""

# An agent without a camera publishes its status only, every 30 s.
_SILENT_AGENT_SECONDS = 3 * SILENT_SECONDS

AlarmCounts = Mapping[tuple[str, str], int]
"""By agent and camera."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """When something was published last."""

    at: float
    """Unix time, seconds; of a document that the broker had kept, by the clock of the agent."""
    monotonic: float
    live: bool

    def silent_seconds(self, now: float, link: Link) -> float:
        """For how long nothing was heard that should have been: without a broker, or at once after it is back, nothing
        can be."""
        if not link.connected:
            return link.since_monotonic - self.monotonic
        return now - (max(self.monotonic, link.since_monotonic) if self.live else self.monotonic)


@dataclass(slots=True)
class _Camera:
    state: StatePayload | None = None
    count: CountPayload | None = None
    heard: _Heard | None = None
    silent: bool = False
    """As its row says."""

    def is_silent(self, now: float, link: Link, most_seconds: float = SILENT_SECONDS) -> bool:
        return self.heard is not None and self.heard.silent_seconds(now, link) > most_seconds


@dataclass(slots=True)
class _Agent:
    site: str
    status: StatusPayload | None = None
    clock: Clock = field(default_factory=Clock)
    cameras: dict[str, _Camera] = field(default_factory=dict)
    groups: dict[str, CountPayload] = field(default_factory=dict)
    """Of cameras that see the same part, by `parts/NAME`."""
    alone: _Camera = field(default_factory=_Camera)
    """Stands for an agent that has reported no camera."""


class Fleet:
    """The cameras, as their agents have reported them."""

    def __init__(self, faults: Faults) -> None:
        """`faults` takes documents that cannot be read."""
        self._faults = faults
        self._agents: dict[str, _Agent] = {}
        self._alarms: AlarmCounts = {}
        self._news: set[str] = set()
        """Agents whose rows may have changed."""
        self.rows: dict[str, Row] = {}
        """By key, as of the last `update`."""
        self._keys: dict[str, set[str]] = {}

    def take(self, changed: Iterable[tuple[Place, Document | None]]) -> None:
        """Documents that have arrived, or were removed (None)."""
        for place, document in changed:
            if document is None:
                self._remove(place)
                continue
            try:
                self._put(place, document, parse(MODELS[place.document], document.payload))
            except Permanent as error:
                self._faults.add(f"{place.key} {place.document}", str(error), document.arrived_at)

    def doubt_clocks(self, unsynchronised: Mapping[str, bool]) -> None:
        """What the latest alarm of each agent says about its clock."""
        for base, doubtful in unsynchronised.items():
            agent = self._agents.get(base)
            if agent is not None and agent.clock.unsynchronised is not doubtful:
                agent.clock = replace(agent.clock, unsynchronised=doubtful)
                self._news.add(base)

    def count_alarms(self, alarms: AlarmCounts) -> None:
        """Alarms of the last hour."""
        before, self._alarms = self._alarms, alarms
        self._news |= {key[0] for key in {*before, *alarms} if before.get(key) != alarms.get(key)}

    def update(self, now: float, link: Link) -> tuple[list[Row], list[str]]:
        """Bring `rows` up to `now`, monotonic. Returns what has changed, and the keys of the rows that are gone.

        What has changed of a row is its key and the fields with another value.
        """
        news, self._news = self._news | self._silenced(now, link), set()
        changed: list[Row] = []
        gone: list[str] = []
        for base in news:
            rows = {row["key"]: row for row in self._rows_of(base, now, link)}
            changed += [found for key, row in rows.items() if (found := _difference(self.rows.get(key), row))]
            gone += self._keys.get(base, set()) - rows.keys()
            self.rows.update(rows)
            self._keys[base] = set(rows)
        for key in gone:
            del self.rows[key]
        return changed, gone

    def _silenced(self, now: float, link: Link) -> set[str]:
        """The agents with a camera that has become silent, or is heard again."""
        return {
            base
            for base, agent in self._agents.items()
            for camera in agent.cameras.values() or (agent.alone,)
            if camera.silent is not camera.is_silent(now, link, _most_seconds(agent))
        }

    def _rows_of(self, base: str, now: float, link: Link) -> Iterator[Row]:
        agent = self._agents.get(base)
        if agent is None:
            return
        of_cameras: dict[str | None, list[Condition]] = {}
        for name, camera in agent.cameras.items() or ((None, agent.alone),):
            camera.silent = camera.is_silent(now, link, _most_seconds(agent))
            found = conditions_of(agent.status, camera.state, agent.clock, silent=camera.silent)
            of_cameras[name] = found
            alarms = self._alarms.get((base, name or ""), 0)
            yield {**_row(base, agent, name, camera, found, alarms), **camera_fields(camera.state, camera.count)}
        for place, count in agent.groups.items():
            cameras = [each for each in of_cameras if each is not None and each in (count.cameras or of_cameras)]
            found = joined_conditions([of_cameras[each] for each in cameras or of_cameras])
            alarms = sum(self._alarms.get((base, each), 0) for each in cameras)
            worst = next((each for each in cameras if of_cameras[each][0] is found[0]), None)
            camera = agent.alone if worst is None else agent.cameras[worst]
            yield {**_row(base, agent, place, camera, found, alarms), **group_fields(count)}

    def _put(self, place: Place, document: Document, payload: Any) -> None:
        place.check_names(payload.site, getattr(payload, "camera", None))
        agent = self._agents.get(place.agent)
        if agent is None:
            agent = self._agents[place.agent] = _Agent(short(place.site or payload.site, 80) or "")
        self._news.add(place.agent)
        if isinstance(payload, StatusPayload):
            agent.status = payload
            agent.alone.heard = _later(agent.alone.heard, _heard(document, payload.at))
        elif place.is_group:
            agent.groups[place.camera or ""] = payload
            return
        else:
            camera = agent.cameras.setdefault(place.camera or "", _Camera())
            if isinstance(payload, CountPayload):
                camera.count = payload
                return
            camera.state, camera.heard = payload, _later(camera.heard, _heard(document, payload.at))
        if document.live and payload.at is not None:
            agent.clock = replace(agent.clock, seconds_off=payload.at.timestamp() - document.arrived_at)

    def _remove(self, place: Place) -> None:
        agent = self._agents.get(place.agent)
        if agent is None:
            return
        self._news.add(place.agent)
        camera = agent.cameras.get(place.camera or "")
        if place.document == "status":
            agent.status = None
        elif place.is_group:
            agent.groups.pop(place.camera or "", None)
        elif camera is not None and place.document == "state":
            camera.state = None
        elif camera is not None:
            camera.count = None
        if camera is not None and camera.state is None and camera.count is None:
            del agent.cameras[place.camera or ""]
        if agent.status is None and not agent.cameras and not agent.groups:
            del self._agents[place.agent]


def _row(base: str, agent: _Agent, name: str | None, camera: _Camera, conditions: list[Condition], alarms: int) -> Row:
    """What every row has. `camera`: the one that the words are about."""
    outdated = bool({Condition.OFFLINE, Condition.SILENT, Condition.STOPPED} & set(conditions))
    return {
        "key": base if name is None else f"{base} {name}",
        "agent": base,
        "site": agent.site,
        "camera": name,
        "severity": severity_of(conditions),
        "conditions": [condition.value for condition in conditions],
        "text": text_of(conditions, agent.status, camera.state),
        "alarms": alarms,
        # Only where it is not "now": else every row would change all the time.
        "heard_at": camera.heard.at if outdated and camera.heard is not None else None,
        **agent_fields(agent.status, agent.clock),
    }


def _most_seconds(agent: _Agent) -> float:
    return SILENT_SECONDS if agent.cameras else _SILENT_AGENT_SECONDS


def _heard(document: Document, at: datetime | None) -> _Heard:
    if document.live or at is None:
        return _Heard(document.arrived_at, document.arrived, document.live)
    age = max(0.0, document.arrived_at - at.timestamp())
    return _Heard(document.arrived_at - age, document.arrived - age, live=False)


def _later(before: _Heard | None, heard: _Heard) -> _Heard:
    return heard if before is None or heard.monotonic >= before.monotonic else before


def _difference(before: Row | None, row: Row) -> Row:
    """The key and the fields with another value; empty where nothing has changed."""
    if before is None:
        return row
    found = {name: value for name, value in row.items() if name not in before or before[name] != value}
    found.update(dict.fromkeys(before.keys() - row.keys()))
    return {"key": row["key"], **found} if found else {}
