"""Alarms and judgements as JSON values, for commands and `--json`."""

from __future__ import annotations

from typing import Any

from agent.messages import VerdictPayload, utc_text
from agent.review.export import Exported
from agent.review.folders import ReviewFolders
from agent.review.images import alarm_image
from agent.review.journal import Journal
from agent.review.records import AlarmFilter, Judged, JudgedAlarm, Judgement


def alarm_document(known: JudgedAlarm) -> dict[str, Any]:
    """An alarm with the judgement that counts."""
    alarm, judgement = known.alarm, known.judgement
    return {
        "id": alarm.id,
        "camera": alarm.camera,
        "kind": alarm.kind,
        "raised_at": utc_text(alarm.raised_at),
        "cleared_at": None if alarm.cleared_at is None else utc_text(alarm.cleared_at),
        "frame": alarm.frame,
        "score": alarm.score,
        "peak": alarm.peak,
        "threshold": alarm.threshold,
        "rule": alarm.rule,
        "calibration": alarm.calibration,
        "origin": alarm.origin,
        "reason": alarm.reason,
        "product": alarm.product,
        "verdict": None if judgement is None else judgement.verdict.value,
        "by": None if judgement is None else judgement.by,
        "judged_at": None if judgement is None else utc_text(judgement.at),
        "note": None if judgement is None else judgement.note,
        "defect": None if judgement is None else judgement.defect,
    }


def list_document(
    journal: Journal,
    *,
    camera: str | None = None,
    verdict: Judged | None = None,
    judged: bool | None = None,
    limit: int | None = None,
    where: AlarmFilter | None = None,
) -> dict[str, Any]:
    """The latest alarms, newest first, how many there are, and how many fit; arguments as in `Journal.alarms`."""
    alarms = journal.alarms(camera=camera, verdict=verdict, judged=judged, limit=limit, where=where)
    return {
        "counts": journal.counts(camera),
        "found": journal.number(camera, verdict, judged, where),
        "alarms": [alarm_document(known) for known in alarms],
    }


def show_document(known: JudgedAlarm, folders: ReviewFolders) -> dict[str, Any]:
    """One alarm with all judgements and the paths of its images that are still on the disk."""
    alarm = known.alarm
    shown = sorted((folders.evidence / alarm.camera / alarm.id).glob("[!.]*.*"))
    kept = alarm_image(folders.images, alarm.camera, alarm.id)
    return {
        **alarm_document(known),
        "judgements": [judgement_document(judgement) for judgement in known.judgements],
        "images": {path.stem: str(path) for path in shown},
        "image": str(kept) if kept.is_file() else None,
    }


def judgement_document(judgement: Judgement) -> dict[str, Any]:
    """One judgement."""
    return {
        "number": judgement.number,
        "verdict": judgement.verdict.value,
        "by": judgement.by,
        "at": utc_text(judgement.at),
        "note": judgement.note,
        "defect": judgement.defect,
    }


def export_document(done: Exported) -> dict[str, Any]:
    """What was exported."""
    return {
        "directory": str(done.directory),
        "good": done.good,
        "samples": done.samples,
        "bad": done.bad,
        "missing": done.missing,
        "eight_bit": done.eight_bit,
        "cropped": done.cropped,
    }


def verdict_payload(known: JudgedAlarm, site: str) -> VerdictPayload:
    """The message about the latest judgement of an alarm."""
    alarm, judgement = known.alarm, known.judgement
    assert judgement is not None
    return VerdictPayload(
        id=alarm.id,
        number=judgement.number,
        site=site,
        camera=alarm.camera,
        verdict=judgement.verdict.value,
        by=judgement.by,
        at=judgement.at,
        note=judgement.note,
        kind=judgement.defect,
        raised_at=alarm.raised_at,
        origin=alarm.origin,
    )
