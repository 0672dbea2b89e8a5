"""Every alarm and every judgement of it: kept when the evidence is deleted, and over restarts and power cuts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.review.database import ReviewDatabase
from agent.review.records import AlarmFilter, AlarmRecord, Exposure, Judged, JudgedAlarm, Judgement

# Alarms that nobody has judged are kept up to this number, 30 MB; those judged are kept for ever.
MOST_UNJUDGED = 100_000

# How often the limit is checked, in alarms.
_CHECK_EVERY = 500

_COLUMNS = (
    "id, camera, kind, raised_at, cleared_at, frame, score, peak, threshold, rule, calibration, bundle, engine, "
    "origin, reason, crop, product, seconds, frames"
)
_LATEST = "SELECT verdict FROM judgement WHERE judgement.alarm = alarm.id ORDER BY number DESC LIMIT 1"

# The values of an `AlarmFilter`, in the order of `_filter_values`. `before` names an alarm: older ones follow it.
_FILTER = (
    "(?5 IS NULL OR kind = ?5) AND (?6 IS NULL OR raised_at >= ?6) AND (?7 IS NULL OR raised_at < ?7) "
    "AND (?8 IS NULL OR score >= ?8) AND (?9 IS NULL OR score <= ?9) "
    "AND (?10 IS NULL OR (raised_at, id) < (SELECT raised_at, id FROM alarm WHERE id = ?10)) "
    "AND (?11 IS NULL OR product = ?11) "
    "AND (?12 IS NULL OR (raised_at, id) > (SELECT raised_at, id FROM alarm WHERE id = ?12))"
)

# Camera, verdict and whether it is judged come first; ?4 is for the limit.
_FITS = (
    f"(?1 IS NULL OR camera = ?1) AND (?2 IS NULL OR ({_LATEST}) = ?2) "
    f"AND (?3 IS NULL OR (({_LATEST}) IS NOT NULL) = ?3) AND {_FILTER}"
)


class Journal:
    """The alarms of all cameras and their judgements. Any thread may call."""

    def __init__(self, database: ReviewDatabase) -> None:
        self._database = database
        self._added = 0

    # Alarms

    def add(self, alarm: AlarmRecord) -> None:
        """Add an alarm that was raised; one that is known already stays as it is."""
        self.add_all([alarm])

    def add_all(self, alarms: Iterable[AlarmRecord]) -> None:
        """Add several alarms in one transaction."""
        rows = [_row(alarm) for alarm in alarms]
        marks = ", ".join("?" * len(_COLUMNS.split(", ")))

        def work(db: sqlite3.Connection) -> None:
            db.executemany(f"INSERT OR IGNORE INTO alarm ({_COLUMNS}) VALUES ({marks})", rows)
            self._added += len(rows)
            if self._added >= _CHECK_EVERY:
                self._added = 0
                db.execute(
                    "DELETE FROM alarm WHERE id IN (SELECT id FROM alarm WHERE NOT EXISTS "
                    "(SELECT 1 FROM judgement WHERE judgement.alarm = alarm.id) "
                    "ORDER BY raised_at DESC, id DESC LIMIT -1 OFFSET ?)",
                    (MOST_UNJUDGED,),
                )

        if rows:
            self._database.change(work)

    def clear(self, alarm: str, at: datetime, peak: float | None) -> None:
        """Note the end of an alarm, and the highest statistic while it was active."""
        self._database.change(
            lambda db: db.execute(
                "UPDATE alarm SET cleared_at = ?, peak = max(coalesce(peak, ?), coalesce(?, peak)) WHERE id = ?",
                (_time(at), peak, peak, alarm),
            )
        )

    def known(self) -> set[str]:
        """The ids of all alarms."""
        return set(self._database.read(lambda db: [row[0] for row in db.execute("SELECT id FROM alarm")]))

    def find(self, alarm: str) -> JudgedAlarm:
        """The alarm of this id, or the only one whose id begins or ends so. Raises Permanent where there is not one."""
        text = alarm.strip().lower()
        if not text or len(text) > 64 or not all(letter.isalnum() or letter == "-" for letter in text):
            raise Permanent(f"alarm id: got {ascii(alarm)[:80]}, wanted one from `inspectd alarms list`")
        query = f"SELECT {_COLUMNS} FROM alarm WHERE id = ?1 OR id LIKE ?1 || '%' OR id LIKE '%' || ?1 LIMIT 3"
        found = [_alarm(row) for row in self._database.read(lambda db: db.execute(query, (text,)).fetchall())]
        exact = [record for record in found if record.id == text] or found
        if len(exact) != 1:
            count = "no alarm has" if not exact else "several alarms have"
            raise Permanent(f"{count} the id {text}; wanted one from `inspectd alarms list`")
        return JudgedAlarm(exact[0], self._judgements(exact[0].id))

    def alarms(
        self,
        *,
        camera: str | None = None,
        verdict: Judged | None = None,
        judged: bool | None = None,
        limit: int | None = None,
        where: AlarmFilter | None = None,
    ) -> list[JudgedAlarm]:
        """The latest alarms, newest first.

        Args:
            camera: of this camera only.
            verdict: with this verdict only.
            judged: only those that a person has judged, or that nobody has; None: both.
            limit: at most so many; None: all.
            where: further limits; None: none.
        """
        way = "DESC" if where is None or where.after is None else "ASC"
        query = f"SELECT {_COLUMNS} FROM alarm WHERE {_FITS} ORDER BY raised_at {way}, id {way} LIMIT ?4"
        most = -1 if limit is None else limit
        values = (camera, None if verdict is None else verdict.value, judged, most, *_filter_values(where))
        rows = self._database.read(lambda db: db.execute(query, values).fetchall())
        judgements = self._all_judgements() if rows else {}
        newest_first = rows if way == "DESC" else rows[::-1]
        return [JudgedAlarm(alarm, judgements.get(alarm.id, ())) for alarm in map(_alarm, newest_first)]

    def number(self, camera: str | None, verdict: Judged | None, judged: bool | None, where: AlarmFilter | None) -> int:
        """How many alarms fit, wherever in the list; arguments as in `alarms`."""
        values = (camera, None if verdict is None else verdict.value, judged, None, *_filter_values(where)[:5])
        values += (None, None if where is None else where.product, None)
        query = f"SELECT count(*) FROM alarm WHERE ?4 IS NULL AND {_FITS}"
        return int(self._database.read(lambda db: db.execute(query, values).fetchone())[0])

    def counts(self, camera: str | None = None) -> dict[str, int]:
        """How many alarms there are, and how many of them were judged true, judged false, and not judged."""
        query = f"SELECT ({_LATEST}) AS verdict, count(*) FROM alarm WHERE (?1 IS NULL OR camera = ?1) GROUP BY verdict"
        found: dict[str | None, int] = dict(self._database.read(lambda db: db.execute(query, (camera,)).fetchall()))
        return {
            "alarms": sum(found.values()),
            "true": found.get("true", 0),
            "false": found.get("false", 0),
            "unjudged": found.get(None, 0),
        }

    def of_calibration(self, camera: str, calibration: str) -> list[JudgedAlarm]:
        """The alarms about defects under one calibration, oldest first."""
        query = f"SELECT {_COLUMNS} FROM alarm WHERE camera = ? AND calibration = ? AND kind = 'defect' ORDER BY id"
        rows = self._database.read(lambda db: db.execute(query, (camera, calibration)).fetchall())
        judgements = self._all_judgements() if rows else {}
        return [JudgedAlarm(alarm, judgements.get(alarm.id, ())) for alarm in map(_alarm, rows)]

    # Judgements

    def judge(self, judgement: Judgement) -> Judgement:
        """Add a judgement; returns it with its number. It is durable then."""
        values = (
            judgement.alarm,
            judgement.verdict.value,
            judgement.by,
            _time(judgement.at),
            judgement.note,
            judgement.defect,
        )
        query = "INSERT INTO judgement (alarm, verdict, by, at, note, defect) VALUES (?, ?, ?, ?, ?, ?)"
        number = self._database.change(lambda db: db.execute(query, values).lastrowid)
        return replace(judgement, number=int(number or 0))

    def unpublished(self) -> list[Judgement]:
        """Judgements that were not handed to the outputs yet, oldest first."""
        return self._select("WHERE published = 0")

    def mark_published(self, numbers: Sequence[int]) -> None:
        """These judgements were handed to the outputs."""
        rows = [(number,) for number in numbers]
        self._database.change(lambda db: db.executemany("UPDATE judgement SET published = 1 WHERE number = ?", rows))

    def _judgements(self, alarm: str) -> tuple[Judgement, ...]:
        return tuple(self._select("WHERE alarm = ?", alarm))

    def _all_judgements(self) -> dict[str, tuple[Judgement, ...]]:
        found: dict[str, tuple[Judgement, ...]] = {}
        for judgement in self._select(""):
            found[judgement.alarm] = (*found.get(judgement.alarm, ()), judgement)
        return found

    def _select(self, where: str, *values: str) -> list[Judgement]:
        query = f"SELECT number, alarm, verdict, by, at, note, defect FROM judgement {where} ORDER BY number"
        rows = self._database.read(lambda db: db.execute(query, values).fetchall())
        return [
            Judgement(number, alarm, Judged(verdict), by, datetime.fromisoformat(at), note, defect)
            for number, alarm, verdict, by, at, note, defect in rows
        ]


def alarms_in_evidence(directory: Path, known: set[str]) -> list[AlarmRecord]:
    """Alarms of which only the evidence is known: those of earlier releases, or of a moment before a power cut.

    Args:
        directory: holds `<camera>/<alarm id>/`.
        known: ids to leave out.

    >>> time_of("0195500a-7c00-7000-8000-000000000000").isoformat()
    '2025-03-01T04:50:19.264000+00:00'
    """
    found = []
    for folder in sorted(directory.glob("*/*")):
        at = time_of(folder.name) if folder.is_dir() else None
        if at is not None and folder.name not in known:
            kind = "defect" if (folder / "heatmap.png").exists() else "camera"
            found.append(AlarmRecord(folder.name, folder.parent.name, kind, at))
    return found


def time_of(identity: str) -> datetime | None:
    """The time in a UUIDv7, UTC; None for any other text."""
    digits = identity.replace("-", "")
    if len(identity) != 36 or len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return datetime.fromtimestamp(int(digits[:12], 16) / 1000.0, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def _filter_values(where: AlarmFilter | None) -> tuple[Any, ...]:
    if where is None:
        return (None,) * 8
    since, until = (None if at is None else _time(at) for at in (where.since, where.until))
    scores = where.score_from, where.score_to
    return where.kind, since, until, *scores, where.before, where.product, where.after


def _time(at: datetime) -> str:
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def _row(alarm: AlarmRecord) -> tuple[Any, ...]:
    return (
        alarm.id,
        alarm.camera,
        alarm.kind,
        _time(alarm.raised_at),
        None if alarm.cleared_at is None else _time(alarm.cleared_at),
        alarm.frame,
        alarm.score,
        alarm.peak,
        alarm.threshold,
        alarm.rule,
        alarm.calibration,
        alarm.bundle,
        alarm.engine,
        alarm.origin,
        alarm.reason,
        None if alarm.crop is None else alarm.crop.model_dump_json(),
        alarm.product,
        alarm.exposure.seconds,
        alarm.exposure.frames,
    )


def _alarm(row: Sequence[Any]) -> AlarmRecord:
    names = _COLUMNS.split(", ")
    values = dict(zip(names, row, strict=True))
    crop, cleared_at = values.pop("crop"), values.pop("cleared_at")
    exposure = Exposure(values.pop("seconds"), values.pop("frames"))
    raised_at = datetime.fromisoformat(values.pop("raised_at"))
    return AlarmRecord(
        **values,
        raised_at=raised_at,
        cleared_at=None if cleared_at is None else datetime.fromisoformat(cleared_at),
        crop=None if crop is None else Crop(**json.loads(crop)),
        exposure=exposure,
    )
