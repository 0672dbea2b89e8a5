"""The scores of judged alarms, as far as they can be compared with those of a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.review.promise import position
from agent.review.records import Exposure, Judged, JudgedAlarm
from calibration import Budget, FalseAlarmLevel, found_defects, level_of_false_alarms


@dataclass(frozen=True, slots=True)
class ScoreBasis:
    """Scores compare with each other only if these are the same."""

    bundle: str
    """SHA-256 of the bundle."""
    engine: str
    rule: str
    """The alarm rule, whose statistic was compared with the threshold."""


@dataclass(frozen=True, slots=True)
class JudgedScores:
    """The peaks of one camera's judged alarms about defects."""

    defects: Sequence[float]
    """Of alarms judged true."""
    false_alarms: Sequence[float]
    """Of alarms judged false."""
    exposure: Exposure
    """Running time in which they occurred."""

    @classmethod
    def of(cls, alarms: Sequence[JudgedAlarm], basis: ScoreBasis, exposure: Exposure) -> JudgedScores:
        """Those of the alarms that have this basis."""
        peaks: dict[Judged, list[float]] = {Judged.TRUE: [], Judged.FALSE: []}
        for known in alarms:
            alarm = known.alarm
            same = (alarm.bundle, alarm.engine, alarm.rule) == (basis.bundle, basis.engine, basis.rule)
            if same and alarm.kind == "defect" and alarm.peak is not None and known.verdict is not None:
                peaks[known.verdict].append(alarm.peak)
        return cls(peaks[Judged.TRUE], peaks[Judged.FALSE], exposure)

    def false_alarm_level(self, budget: Budget) -> FalseAlarmLevel | None:
        """The level that the false alarms ask for under a budget; None where they are no more than it allows."""
        return level_of_false_alarms(self.false_alarms, position(budget, self.exposure))

    def recall(self, threshold: float) -> dict[str, int]:
        """How many confirmed defects there are, and how many of them a threshold finds."""
        return {"confirmed_defects": len(self.defects), "still_found": found_defects(self.defects, threshold)}
