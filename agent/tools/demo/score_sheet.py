"""The demo's score sheet: the alarms that arrived, compared with the truth. No other module knows the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agent.core.records import AlarmEvent, AlarmKind
from agent.messages import AlarmPayload
from agent.sources.simulator import SimulatedLine


@dataclass(frozen=True, slots=True)
class MatchedAlarm:
    """A raised alarm and the defect behind it."""

    alarm: AlarmPayload
    kind: str | None
    """Kind of the defect; None for a false alarm."""


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """Result of a demo run."""

    mode: str
    seed: int
    frames: int
    """Frames inspected after the camera was armed."""
    defects_shown: int
    """Bad parts that were completely in view while the agent was armed."""
    defects_alarmed: int
    """Bad parts that raised an alarm."""
    false_alarms: int
    """Alarms without a bad part."""
    frames_dropped: int
    """Frames replaced by newer ones before they were inspected, after the camera was armed."""
    latency_ms: dict[str, float]
    """Capture to the broker's PUBACK of the alarm, milliseconds: p50, p95, p99."""
    missed: tuple[str, ...]
    """Kinds of the bad parts that raised no alarm."""
    threshold: float
    promise: str
    """The promise of the calibration."""

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


def match_alarms(line: SimulatedLine, alarms: Sequence[AlarmPayload], rule_frames: int) -> list[MatchedAlarm]:
    """Find the defect behind every raised alarm.

    An alarm belongs to a bad part if it was raised while the part was in view, or less than `rule_frames` frames later.
    A camera alarm is a false alarm: the simulated camera of the demo is healthy.
    """
    raised = [alarm for alarm in alarms if alarm.event is AlarmEvent.RAISED]
    return [
        MatchedAlarm(alarm, _kind_behind(line, alarm.frame, rule_frames) if alarm.kind is AlarmKind.DEFECT else None)
        for alarm in raised
    ]


def _kind_behind(line: SimulatedLine, frame: int, rule_frames: int) -> str | None:
    for index in range(frame, max(-1, frame - rule_frames), -1):
        kind = line.truth(index).kind
        if kind is not None:
            return kind
    return None


def bad_parts(line: SimulatedLine, first_frame: int, last_frame: int) -> dict[int, str]:
    """The bad parts that were completely in view between two frames: kind of the defect by index of the part."""
    first = -(-first_frame // line.frames_per_part)
    last = (last_frame + 1) // line.frames_per_part
    parts = (line.part(index) for index in range(first, last))
    return {part.index: part.kind for part in parts if part.kind is not None}


def alarmed_parts(line: SimulatedLine, matches: Sequence[MatchedAlarm], rule_frames: int) -> set[int]:
    """Indices of the bad parts that raised an alarm."""
    return {
        next(i for i in range(m.alarm.frame, m.alarm.frame - rule_frames, -1) if line.truth(i).kind is not None)
        // line.frames_per_part
        for m in matches
        if m.kind is not None
    }
