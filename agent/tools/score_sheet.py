"""The demo's score sheet: the alarms that arrived beside the truth, which nobody but this module works out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agent.core.records import AlarmEvent, AlarmKind
from agent.messages import AlarmPayload
from agent.sources.simulator import SimulatedLine


@dataclass(frozen=True, slots=True)
class Match:
    """An alarm that was raised, and what the part behind it was."""

    alarm: AlarmPayload
    kind: str | None
    """The defect; None: a false alarm."""


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """What the demo found."""

    mode: str
    seed: int
    frames: int
    """Frames inspected."""
    defects_shown: int
    """Bad parts that passed while the agent was armed."""
    defects_alarmed: int
    """Those of them that raised an alarm."""
    false_alarms: int
    """Alarms that no bad part explains."""
    frames_dropped: int
    """Frames that gave way to newer ones."""
    latency_ms: dict[str, float]
    """Capture to the broker's PUBACK of the alarm, milliseconds: p50, p95, p99."""
    missed: tuple[str, ...]
    """Kinds of the bad parts that raised none."""
    threshold: float
    promise: str
    """What the calibration promised."""

    def document(self) -> dict[str, Any]:
        """For `summary.json`."""
        return {**asdict(self), "missed": list(self.missed)}

    def lines(self) -> list[str]:
        """For people."""
        share = 100.0 * self.defects_alarmed / self.defects_shown if self.defects_shown else 100.0
        latency = "  ".join(f"{name} {value:.1f}" for name, value in self.latency_ms.items())
        rows = [
            ("frames inspected", f"{self.frames}"),
            ("defects shown", f"{self.defects_shown}"),
            ("defects alarmed", f"{self.defects_alarmed} ({share:.0f} %)"),
            ("false alarms", f"{self.false_alarms}"),
            ("frames dropped", f"{self.frames_dropped}"),
            ("capture to PUBACK, ms", latency or "no alarm was delivered"),
        ]
        if self.missed:
            rows.insert(3, ("missed", ", ".join(self.missed)))
        return [f"  {title:<22} {value}" for title, value in rows]


def match(line: SimulatedLine, alarms: Sequence[AlarmPayload], rule_frames: int) -> list[Match]:
    """Find the part behind every alarm that was raised.

    An alarm belongs to a bad part when it was raised while the part was in view, or within the rule's memory after it.
    One about the camera belongs to none: the simulated camera of the demo is well.
    """
    raised = [alarm for alarm in alarms if alarm.event is AlarmEvent.RAISED]
    return [
        Match(alarm, _kind_behind(line, alarm.frame, rule_frames) if alarm.kind is AlarmKind.DEFECT else None)
        for alarm in raised
    ]


def _kind_behind(line: SimulatedLine, frame: int, rule_frames: int) -> str | None:
    for index in range(frame, max(-1, frame - rule_frames), -1):
        kind = line.truth(index).kind
        if kind is not None:
            return kind
    return None


def bad_parts(line: SimulatedLine, first_frame: int, last_frame: int) -> dict[int, str]:
    """The bad parts that were wholly in view between two frames: kind by index of the part."""
    first = -(-first_frame // line.frames_per_part)
    last = (last_frame + 1) // line.frames_per_part
    parts = (line.part(index) for index in range(first, last))
    return {part.index: part.kind for part in parts if part.kind is not None}


def alarmed_parts(line: SimulatedLine, matches: Sequence[Match], rule_frames: int) -> set[int]:
    """Indices of the bad parts that raised an alarm."""
    return {
        next(i for i in range(m.alarm.frame, m.alarm.frame - rule_frames, -1) if line.truth(i).kind is not None)
        // line.frames_per_part
        for m in matches
        if m.kind is not None
    }
