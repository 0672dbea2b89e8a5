"""How many alarms a new threshold would have raised recently; reported before it takes effect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.inspection.outcome import Candidate
from calibration import Calibration, ScoreLog, found_defects

# A day covers every shift, and people still remember its events.
HOURS = 24.0


def preview_calibration(
    score_log: Path,
    current: Calibration | None,
    candidate: Candidate,
    now: float,
    defects: Sequence[float] = (),
) -> dict[str, Any]:
    """Count the alarms of the last day under both thresholds, from the scores on disk.

    Args:
        score_log: directory of the camera's score log; only read.
        current: the calibration in force, if there is one.
        candidate: the new one.
        now: Unix time, seconds.
        defects: peaks of the defects that people have confirmed.

    Returns the document that `status` reports for a recalibration.
    """
    new = candidate.calibration
    since = now - HOURS * 3600.0
    log = ScoreLog(score_log)
    alarms = _alarms(log, new, since)
    alarms_before = None if current is None else _alarms(log, current, since)
    found = found_defects(defects, new.threshold.value)
    return {
        "calibration": new.id,
        "threshold": new.threshold.value,
        "certified": new.threshold.certified,
        "promise": new.promise,
        "dry_run": candidate.plan.dry_run,
        "alarms": alarms,
        "alarms_before": alarms_before,
        "confirmed_defects": len(defects),
        "still_found": found,
        "sentence": _sentence(alarms, alarms_before) + _recall(found, len(defects)),
    }


def _sentence(alarms: int, alarms_before: int | None) -> str:
    """The two counts in words.

    >>> _sentence(1, 3)
    'with this threshold, the last 24 h of scores give 1 alarm instead of 3'
    """
    instead = "" if alarms_before is None else f" instead of {alarms_before}"
    noun = "alarm" if alarms == 1 else "alarms"
    return f"with this threshold, the last {HOURS:g} h of scores give {alarms} {noun}{instead}"


def _recall(found: int, defects: int) -> str:
    """The recall in words; empty where no defect was confirmed.

    >>> _recall(11, 12)
    '; it finds 11 of 12 confirmed defects'
    """
    return f"; it finds {found} of {defects} confirmed defect{'' if defects == 1 else 's'}" if defects else ""


def _alarms(log: ScoreLog, calibration: Calibration, since: float) -> int:
    times = log.alarms_at(
        calibration.threshold.value, calibration.rule, quiet_frames=calibration.quiet_frames, since=since
    )
    return int(times.size)
