"""The demo's score sheet: the results and alarms that arrived, compared with the truth. No other module knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agent.core.records import AlarmEvent, AlarmKind, PartVerdict
from agent.messages import AlarmPayload, ResultPayload
from agent.sources.simulator import SimulatedLine


@dataclass(frozen=True, slots=True)
class MatchedAlarm:
    """A raised alarm and the defect behind it."""

    alarm: AlarmPayload
    kind: str | None
    """Kind of the defect; None for a false alarm."""


@dataclass(frozen=True, slots=True)
class PartsSheet:
    """The parts that were completely in view while the camera was armed."""

    shown: int
    ok: int
    nok: int
    not_judged: int
    without_result: int
    """Parts of which no result arrived: 0."""
    missed: tuple[str, ...]
    """Kinds of the bad parts that were ok."""
    false_nok: int
    """Good parts that were nok."""


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """Result of a demo run."""

    mode: str
    seed: int
    frames: int
    """Frames inspected after the camera was armed."""
    parts: PartsSheet
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
    threshold: float
    promise: str
    """The promise of the calibration."""

    def document(self) -> dict[str, Any]:
        """For `summary.json`."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        parts = self.parts
        share = 100.0 * self.defects_alarmed / self.defects_shown if self.defects_shown else 100.0
        latency = "  ".join(f"{name} {value:.1f}" for name, value in self.latency_ms.items())
        rows = [
            ("parts shown", f"{parts.shown}"),
            ("ok", f"{parts.ok}"),
            ("nok", f"{parts.nok} ({parts.false_nok} of them good)"),
            ("not judged", f"{parts.not_judged}"),
            ("without a result", f"{parts.without_result}"),
            ("bad parts shown", f"{self.defects_shown}"),
            ("bad parts alarmed", f"{self.defects_alarmed} ({share:.0f} %)"),
            ("missed", ", ".join(kind.replace("_", " ") for kind in parts.missed)),
            ("false alarms", f"{self.false_alarms}"),
            ("frames", f"{self.frames} inspected, {self.frames_dropped} dropped"),
            ("capture to PUBACK, ms", latency or "no alarm was delivered"),
        ]
        # Shown only where there is something to show.
        hidden = {title for title in ("without a result", "missed") if dict(rows)[title] in ("0", "")}
        return [f"  {title:<22} {value}" for title, value in rows if title not in hidden]


def match_alarms(line: SimulatedLine, alarms: Sequence[AlarmPayload]) -> list[MatchedAlarm]:
    """Find the defect behind every raised alarm: that of the part that its frame shows.

    A camera alarm is a false alarm: the simulated camera of the demo is healthy.
    """
    raised = [alarm for alarm in alarms if alarm.event is AlarmEvent.RAISED]
    return [
        MatchedAlarm(alarm, line.truth(alarm.frame).kind if alarm.kind is AlarmKind.DEFECT else None)
        for alarm in raised
    ]


def parts_in_view(line: SimulatedLine, first_frame: int, last_frame: int) -> dict[int, str | None]:
    """The parts that were completely in view between two frames: kind of the defect, or None, by index of the part."""
    first = -(-first_frame // line.frames_per_part)
    last = (last_frame + 1) // line.frames_per_part
    return {index: line.part(index).kind for index in range(first, last)}


def alarmed_parts(line: SimulatedLine, matches: Sequence[MatchedAlarm]) -> set[int]:
    """Indices of the bad parts that raised an alarm."""
    return {found.alarm.frame // line.frames_per_part for found in matches if found.kind is not None}


def count_parts(line: SimulatedLine, shown: Mapping[int, str | None], results: Iterable[ResultPayload]) -> PartsSheet:
    """Count parts by their results, and compare these with the truth.

    Args:
        line: what the parts really are.
        shown: the parts that count, as from `parts_in_view`.
        results: of all parts.
    """
    verdicts = {each.frame // line.frames_per_part: each.verdict for each in results if each.frame is not None}
    found = {verdict: [part for part in shown if verdicts.get(part) is verdict] for verdict in PartVerdict}
    return PartsSheet(
        shown=len(shown),
        ok=len(found[PartVerdict.OK]),
        nok=len(found[PartVerdict.NOK]),
        not_judged=len(found[PartVerdict.NOT_JUDGED]),
        without_result=len(shown.keys() - verdicts.keys()),
        missed=tuple(kind for part in found[PartVerdict.OK] if (kind := shown[part]) is not None),
        false_nok=sum(shown[part] is None for part in found[PartVerdict.NOK]),
    )
