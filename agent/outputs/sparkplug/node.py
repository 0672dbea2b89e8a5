"""An edge node: births, deaths and data with their numbers, by Sparkplug 3.0. No connection and no clock.

Births and data are published in the order in which they are made: `seq` counts all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple

from agent.core.records import Part, PartVerdict, Phase
from agent.messages import StatePayload
from agent.outputs.sparkplug.payload import DataType, Metric, Value, encode

NAMESPACE = "spBv1.0"

# Metrics of a device, in the order of their aliases.
METRICS: dict[str, DataType] = {
    "State/Phase": DataType.STRING,
    "State/Reason": DataType.STRING,
    "State/Armed": DataType.BOOLEAN,
    "State/Drift": DataType.BOOLEAN,
    "State/Product": DataType.STRING,
    "State/Threshold": DataType.DOUBLE,
    "State/Calibration": DataType.STRING,
    "State/Alarm": DataType.STRING,
    "Parts/Ok": DataType.UINT64,
    "Parts/Nok": DataType.UINT64,
    "Parts/NotJudged": DataType.UINT64,
    "Result/Part": DataType.STRING,
    "Result/Product": DataType.STRING,
    "Result/Verdict": DataType.STRING,
    "Result/Reason": DataType.STRING,
    "Result/Score": DataType.DOUBLE,
    "Result/Captured": DataType.DATE_TIME,
}

# A device that delivers nothing is dead; it is born again when it does.
_DEAD = (Phase.CAMERA_LOST, Phase.STOPPED)


_COUNTS = {PartVerdict.OK: "Parts/Ok", PartVerdict.NOK: "Parts/Nok", PartVerdict.NOT_JUDGED: "Parts/NotJudged"}


def device_of(place: str) -> str:
    """The device of a camera or a group; a level of a topic has no `/`, and the name of a camera no `:`.

    >>> device_of("line1"), device_of("parts/p1")
    ('line1', 'parts:p1')
    """
    return place.replace("/", ":")


def _state_values(state: StatePayload) -> dict[str, Value]:
    return {
        "State/Phase": state.phase.value,
        "State/Reason": state.reason,
        "State/Armed": state.phase is Phase.ARMED,
        "State/Drift": state.drift,
        "State/Product": state.product,
        "State/Alarm": state.alarm,
    }


def _camera_values(state: StatePayload) -> dict[str, Value]:
    """What only a camera has."""
    parts = state.parts
    return {
        "State/Threshold": state.threshold,
        "State/Calibration": state.calibration,
        "Parts/Ok": None if parts is None else parts.ok,
        "Parts/Nok": None if parts is None else parts.nok,
        "Parts/NotJudged": None if parts is None else parts.not_judged,
    }


class Publication(NamedTuple):
    """A message to publish; the specification wants QoS 0 and no retain for all but the will."""

    topic: str
    payload: bytes


class EdgeNode:
    """The node and its devices. For one thread."""

    def __init__(self, group: str, name: str, cameras: Mapping[str, str], groups: Sequence[str] = ()) -> None:
        """Args:
        group: of the node, in its topics.
        name: of the node, in its topics.
        cameras: the names of their models, by their own names.
        groups: the places of groups of cameras that see the same part.
        """
        self._group = group
        self._name = name
        self._models = cameras
        self._joined = frozenset(map(device_of, groups))
        self._values: dict[str, dict[str, Value]] = {}
        self._alive: dict[str, bool] = {}
        self._seq = 0
        self._birth_death = -1
        self._aliases: dict[tuple[str, str], int] = {}
        for device in (*cameras, *map(device_of, groups)):
            self._add(device)

    def _add(self, device: str) -> None:
        """A device with no values yet. Its aliases are its own for good: no other metric of this run has them."""
        self._values[device], self._alive[device] = dict.fromkeys(METRICS), True
        for metric in METRICS:
            self._aliases.setdefault((device, metric), len(self._aliases) + 1)

    def change_groups(self, groups: Sequence[str], now_ms: int) -> list[Publication]:
        """The births of groups that are new, and the deaths of those that are gone."""
        before, self._joined = self._joined, frozenset(map(device_of, groups))
        found = []
        for device in sorted(before - self._joined):
            del self._values[device], self._alive[device]
            found.append(Publication(self.topic("DDEATH", device), encode(now_ms, [], self._next_seq())))
        for device in sorted(self._joined - before):
            self._add(device)
            found.append(self._birth(device, now_ms))
        return found

    def topic(self, kind: str, device: str | None = None) -> str:
        """Such as `spBv1.0/plant/DDATA/line1/top`."""
        end = "" if device is None else f"/{device}"
        return f"{NAMESPACE}/{self._group}/{kind}/{self._name}{end}"

    def next_will(self, now_ms: int) -> Publication:
        """The death certificate for the next connection: its `bdSeq` is that of the births that follow."""
        self._birth_death = (self._birth_death + 1) % 256
        return self.death(now_ms)

    def death(self, now_ms: int) -> Publication:
        """The death certificate of this connection."""
        return Publication(self.topic("NDEATH"), encode(now_ms, [self._bd_seq()], None))

    def births(self, now_ms: int) -> list[Publication]:
        """Of the node, then of each device that is alive; `seq` begins again with 0."""
        self._seq = 0
        metrics = [
            self._bd_seq(),
            Metric(DataType.BOOLEAN, False, name="Node Control/Rebirth"),
            Metric(DataType.STRING, version("inspectd"), name="Properties/Version"),
        ]
        found = [Publication(self.topic("NBIRTH"), encode(now_ms, metrics, self._next_seq()))]
        return found + [self._birth(device, now_ms) for device, alive in self._alive.items() if alive]

    def _birth(self, device: str, now_ms: int) -> Publication:
        metrics = [
            Metric(kind, self._values[device][name], name, self._aliases[device, name])
            for name, kind in METRICS.items()
        ]
        if device in self._models:
            metrics.append(Metric(DataType.STRING, self._models[device], name="Properties/Model"))
        return Publication(self.topic("DBIRTH", device), encode(now_ms, metrics, self._next_seq()))

    def take_state(self, state: StatePayload, now_ms: int) -> list[Publication]:
        """Birth or death of a device, or those of its values that have changed."""
        device = device_of(state.camera)
        if device not in self._values:
            return []
        # Without one of its cameras, a group still has results.
        alive, was = device in self._joined or state.phase not in _DEAD, self._alive[device]
        self._alive[device] = alive
        values = _state_values(state)
        if device not in self._joined:
            values |= _camera_values(state)
        changed = self._changed(device, values)
        if alive and not was:
            return [self._birth(device, now_ms)]
        if was and not alive:
            return [Publication(self.topic("DDEATH", device), encode(now_ms, [], self._next_seq()))]
        return [self._data(device, changed, now_ms)] if alive and changed else []

    def take_result(self, part: Part, counts: Mapping[PartVerdict, int], now_ms: int) -> list[Publication]:
        """The result of a part: all its values, also those that are as before.

        `counts`: the parts of a group by verdict, with this one; the state of a camera has its own.
        """
        device = device_of(part.camera)
        if device not in self._values:
            return []
        values: dict[str, Value] = {
            "Result/Part": part.part,
            "Result/Product": part.product,
            "Result/Verdict": part.verdict.value,
            "Result/Reason": None if part.reason is None else part.reason.value,
            "Result/Score": part.score,
            "Result/Captured": int(part.captured_at.timestamp() * 1000),
        }
        if device in self._joined:
            values |= {_COUNTS[verdict]: counts.get(verdict, 0) for verdict in PartVerdict}
        self._changed(device, values)
        return [self._data(device, values, now_ms)] if self._alive[device] else []

    def _changed(self, device: str, values: Mapping[str, Value]) -> dict[str, Value]:
        known = self._values[device]
        changed = {name: value for name, value in values.items() if known[name] != value}
        known.update(changed)
        return changed

    def _data(self, device: str, values: Mapping[str, Value], now_ms: int) -> Publication:
        metrics = [Metric(METRICS[name], value, alias=self._aliases[device, name]) for name, value in values.items()]
        return Publication(self.topic("DDATA", device), encode(now_ms, metrics, self._next_seq()))

    def _bd_seq(self) -> Metric:
        return Metric(DataType.INT64, self._birth_death, name="bdSeq")

    def _next_seq(self) -> int:
        seq, self._seq = self._seq, (self._seq + 1) % 256
        return seq
