"""Parts in numbers: by camera, product and shift, durable together with each result."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta, timezone

from agent.core.records import Part, PartVerdict
from agent.outputs.outbox import Outbox
from agent.parts import Shift, ShiftCalendar

# Numbers of older shifts are deleted.
_KEPT = timedelta(days=14)

# Files that may be inspected again under the same id, since the agent was killed before it had noted them as inspected:
# those of a first window, 10,000 for each camera at most, and those that waited for a commit.
_FILES_REMEMBERED = 20_000

# Triggered parts that are recognised when they are announced again: 3 MB.
_PARTS_REMEMBERED = 100_000

_TABLES = (
    """CREATE TABLE part_count (
    shift INTEGER NOT NULL, camera TEXT NOT NULL, product TEXT NOT NULL, ok INTEGER NOT NULL, nok INTEGER NOT NULL,
    not_judged INTEGER NOT NULL, first_ok INTEGER NOT NULL, first_nok INTEGER NOT NULL,
    PRIMARY KEY (shift, camera, product)) WITHOUT ROWID""",
    """CREATE TABLE part_counted (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, shift INTEGER NOT NULL, camera TEXT NOT NULL,
    product TEXT NOT NULL, verdict TEXT NOT NULL)""",
    """CREATE TABLE part_seen (
    number INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, part TEXT NOT NULL, UNIQUE (camera, part))""",
)


@dataclass(frozen=True, slots=True)
class PartNumbers:
    """Parts by verdict."""

    ok: int = 0
    nok: int = 0
    not_judged: int = 0
    first_ok: int = 0
    """Parts that were ok by their first verdict."""
    first_nok: int = 0
    """Parts that were not, by their first verdict."""

    def __add__(self, other: PartNumbers) -> PartNumbers:
        return PartNumbers(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    @property
    def first_pass_yield(self) -> float | None:
        """Share of ok among the judged parts, by their first verdicts; None before the first judged part."""
        judged = self.first_ok + self.first_nok
        return self.first_ok / judged if judged else None


@dataclass(frozen=True, slots=True)
class ShiftNumbers:
    """The parts of one camera in one shift."""

    shift: Shift
    products: Mapping[str | None, PartNumbers]
    """By product; None for a camera without products."""

    @property
    def total(self) -> PartNumbers:
        """The parts of all products."""
        return sum(self.products.values(), PartNumbers())


_Key = tuple[int, str, str]
"""Start of the shift (Unix time, seconds), camera, product or an empty text."""


class PartCounts:
    """Counts each result in the transaction that stores it: after a kill or a power cut both are there, or neither.

    An image that is inspected again after a kill has the same id, and is not counted again: its latest verdict counts.
    """

    def __init__(self, outbox: Outbox, calendar: ShiftCalendar, *, cameras: int = 1) -> None:
        """Args:
        outbox: that of the results; the numbers are in tables of its file.
        calendar: when a shift starts.
        cameras: how many there are.
        """
        self._outbox = outbox
        self._calendar = calendar
        self._files_remembered = _FILES_REMEMBERED * max(1, cameras)
        self._numbers: dict[_Key, PartNumbers] = {}
        """What is durable; replaced as a whole, so that any thread may read it."""
        self.refresh()

    # For the recorder of results

    def counting(self, part: Part, identity: str, at: datetime) -> Callable[[sqlite3.Connection], None]:
        """What counts this part: to be run in the transaction that stores its result.

        Args:
            part: judged or not.
            identity: id of its result.
            at: time of the result, UTC.
        """
        key = (int(self._calendar.at(at).start.timestamp()), part.camera, part.product or "")
        return lambda db: self._count(db, part, identity, key)

    def refresh(self) -> None:
        """Take over what was committed. Raises Temporary where the disk cannot be read."""
        self._numbers = self._outbox.read(_read)

    def _count(self, db: sqlite3.Connection, part: Part, identity: str, key: _Key) -> None:
        self._create_tables(db)
        repeatable = part.id is not None and not part.announced
        key = (self._take_back(db, identity) if repeatable else None) or key
        first = [f"first_{part.verdict.value}"] if self._is_first(db, part) else []
        _add(db, key, dict.fromkeys([part.verdict.value, *first], 1))
        if repeatable:
            db.execute(
                "INSERT OR REPLACE INTO part_counted (id, shift, camera, product, verdict) VALUES (?, ?, ?, ?, ?)",
                (identity, *key, part.verdict.value),
            )
            _forget(db, "part_counted", self._files_remembered)

    def _take_back(self, db: sqlite3.Connection, identity: str) -> _Key | None:
        """Take back what was counted for this id before; returns where that was, None if it was not."""
        found = db.execute(
            "SELECT shift, camera, product, verdict FROM part_counted WHERE id = ?", (identity,)
        ).fetchone()
        if found is None:
            return None
        *place, verdict = found
        columns = [verdict] if verdict == PartVerdict.NOT_JUDGED.value else [verdict, f"first_{verdict}"]
        key: _Key = (place[0], place[1], place[2])
        _add(db, key, dict.fromkeys(columns, -1))
        return key

    @staticmethod
    def _is_first(db: sqlite3.Connection, part: Part) -> bool:
        """Whether this is the first verdict about the part. Only a trigger announces a part again."""
        if part.verdict is PartVerdict.NOT_JUDGED:
            return False
        if not part.announced:
            return True
        inserted = db.execute("INSERT OR IGNORE INTO part_seen (camera, part) VALUES (?, ?)", (part.camera, part.part))
        _forget(db, "part_seen", _PARTS_REMEMBERED)
        return inserted.rowcount == 1

    def _create_tables(self, db: sqlite3.Connection) -> None:
        """In a new file, which may replace a damaged one: then what is in memory is stored again."""
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'part_count'").fetchone() is None:
            for statement in _TABLES:
                db.execute(statement)
            rows = [(*key, *astuple(numbers)) for key, numbers in self._numbers.items()]
            db.executemany("INSERT INTO part_count VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    # For the outputs

    def shift(self, camera: str, at: datetime) -> ShiftNumbers:
        """The parts of the shift at this time; none where nothing was counted yet."""
        shift = self._calendar.at(at)
        return ShiftNumbers(shift, self._products(camera, int(shift.start.timestamp())))

    def previous(self, camera: str, at: datetime) -> ShiftNumbers | None:
        """The latest shift before that of this time that had parts; None where none is known."""
        current = int(self._calendar.at(at).start.timestamp())
        starts = [start for start, name, _ in self._numbers if name == camera and start < current]
        if not starts:
            return None
        begin = datetime.fromtimestamp(max(starts), timezone.utc)
        # The settings may have had other shifts then: the start is what was counted under.
        shift = replace(self._calendar.at(begin), start=begin)
        return ShiftNumbers(shift, self._products(camera, max(starts)))

    def _products(self, camera: str, start: int) -> dict[str | None, PartNumbers]:
        numbers = self._numbers
        keys = sorted(key for key in numbers if key[0] == start and key[1] == camera)
        return {key[2] or None: numbers[key] for key in keys}


def _read(db: sqlite3.Connection) -> dict[_Key, PartNumbers]:
    oldest = int((datetime.now(timezone.utc) - _KEPT).timestamp())
    # A new file has no tables before its first result.
    with suppress(sqlite3.OperationalError):
        rows = db.execute("SELECT * FROM part_count WHERE shift >= ?", (oldest,)).fetchall()
        return {(shift, camera, product): PartNumbers(*numbers) for shift, camera, product, *numbers in rows}
    return {}


def _add(db: sqlite3.Connection, key: _Key, changes: Mapping[str, int]) -> None:
    """Add to the columns of a row, which is created if it is missing. Rows of long ago are deleted with it."""
    if db.execute("INSERT OR IGNORE INTO part_count VALUES (?, ?, ?, 0, 0, 0, 0, 0)", key).rowcount == 1:
        db.execute("DELETE FROM part_count WHERE shift < ?", (key[0] - int(_KEPT.total_seconds()),))
    assignments = ", ".join(f"{column} = {column} + {change:d}" for column, change in changes.items())
    db.execute(f"UPDATE part_count SET {assignments} WHERE shift = ? AND camera = ? AND product = ?", key)


def _forget(db: sqlite3.Connection, table: str, kept: int) -> None:
    db.execute(f"DELETE FROM {table} WHERE number <= (SELECT max(number) FROM {table}) - ?", (kept,))
