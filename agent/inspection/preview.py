"""What a new threshold would have done lately: told before it takes effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.inspection.outcome import Candidate
from calibration import Calibration, ScoreLog

# A day holds every shift, and a person remembers what happened in it.
HOURS = 24.0


def preview_calibration(
    score_log: Path, current: Calibration | None, candidate: Candidate, now: float
) -> dict[str, Any]:
    """Count the alarms of the last day under both thresholds, from the scores on disk.

    Args:
        score_log: directory of the camera's score log; only read.
        current: the calibration in force, if there is one.
        candidate: the new one.
        now: Unix time, seconds.
    """
    new = candidate.calibration
    since = now - HOURS * 3600.0
    log = ScoreLog(score_log)
    would = _alarms(log, new, since)
    did = None if current is None else _alarms(log, current, since)
    instead = "" if did is None else f" instead of {did}"
    return {
        "calibration": new.id,
        "threshold": new.threshold.value,
        "certified": new.threshold.certified,
        "promise": new.promise,
        "dry_run": candidate.plan.dry_run,
        "alarms": would,
        "alarms_before": did,
        "sentence": f"over the last {HOURS:g} h of scores this threshold would have alarmed {would} times{instead}",
    }


def _alarms(log: ScoreLog, calibration: Calibration, since: float) -> int:
    times = log.alarms_at(
        calibration.threshold.value, calibration.rule, quiet_frames=calibration.quiet_frames, since=since
    )
    return int(times.size)
