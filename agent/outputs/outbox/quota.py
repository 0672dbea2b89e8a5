"""The bound on the disk: the oldest pictures give way first, then the oldest alarms that are already cleared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.outputs.outbox.image_files import ImageFiles
from agent.outputs.outbox.rows import Message, cost_of, count_up, trim_missing
from agent.outputs.outbox.transaction import Transaction

# What may be dropped, in groups that go together, oldest first.
OLDEST_PICTURES = "SELECT id FROM message WHERE picture = 1 ORDER BY sequence, id LIMIT 64"
OLDEST_WHOLE_ALARMS = (
    "SELECT r.id, c.id FROM message c JOIN message r "
    "ON r.alarm = c.alarm AND r.output = c.output AND r.part = 'raised' AND r.picture = 0 "
    "WHERE c.picture = 0 AND c.part = 'cleared' ORDER BY c.id LIMIT 64"
)
OLDEST_LONE_ENDS = "SELECT id FROM message WHERE picture = 0 AND part = 'cleared' ORDER BY id LIMIT 64"

# Segments that may lie about half empty before pictures give way for it: those being filled and those being drained.
PARTIAL_SEGMENTS = 4


@dataclass(slots=True)
class Dropped:
    """What gave way."""

    pictures: int = 0
    alarms: int = 0
    """Messages, two for an alarm that went whole."""

    def __bool__(self) -> bool:
        return self.pictures > 0 or self.alarms > 0


class Quota:
    """Holds what waits to `max_bytes`: rows by what they count, and segments by what they take on the disk."""

    def __init__(self, max_bytes: int, segments: ImageFiles) -> None:
        self.max_bytes = max_bytes
        self._segments = segments

    def fitting(self, messages: Sequence[Message]) -> list[Message]:
        """The messages without those pictures that the whole quota could not hold beside the rest."""
        kept = [message for message in messages if not message.picture]
        room = self.max_bytes - sum(map(cost_of, kept))
        for message in messages:
            if message.picture and cost_of(message) <= room:
                room -= cost_of(message)
                kept.append(message)
        return kept

    @property
    def _segments_are_many(self) -> bool:
        return self._segments.bytes_in_use > self.max_bytes + PARTIAL_SEGMENTS * self._segments.segment_bytes

    def make_room(self, change: Transaction, needed: int) -> Dropped:
        """Drops and counts what has to give way, so that `needed` bytes fit."""
        dropped = Dropped()
        if change.bytes + needed > self.max_bytes or self._segments_are_many:
            change.flush()
        if change.bytes + needed > self.max_bytes:
            # A little more than needed, so that a full outbox does not do this for every alarm.
            limit = self.max_bytes - needed - self.max_bytes // 100
            dropped.pictures = _drop(change, limit, OLDEST_PICTURES)
            # An alarm whose raised message waits too was never heard of: nobody misses its end. Those go first.
            dropped.alarms = _drop(change, limit, OLDEST_WHOLE_ALARMS)
            dropped.alarms += _drop(change, limit, OLDEST_LONE_ENDS)
        elif self._segments_are_many:
            # Few pictures hold many segments. The room is there after the commit: one group at a time.
            oldest = [identity for (identity,) in change.db.execute(OLDEST_PICTURES).fetchall()]
            dropped.pictures = change.delete(oldest)
        count_up(change.db, "dropped_pictures", dropped.pictures)
        count_up(change.db, "dropped_alarms", dropped.alarms)
        return dropped


def give_up_pictures(change: Transaction) -> None:
    """Drops and counts the older half of the pictures: the disk is full, and the alarms to come need the room."""
    (waiting,) = change.db.execute("SELECT count(*) FROM message WHERE picture = 1").fetchone()
    query = "SELECT id FROM message WHERE picture = 1 ORDER BY sequence, id LIMIT ?"
    oldest = [identity for (identity,) in change.db.execute(query, (waiting // 2 + 1,)).fetchall()]
    count_up(change.db, "dropped_pictures", change.delete(oldest))


def _drop(change: Transaction, limit: int, query: str) -> int:
    """Deletes what `query` finds, group by group, until no more than `limit` bytes wait; returns how many rows."""
    dropped = 0
    while change.bytes > limit:
        groups = change.db.execute(query).fetchall()
        if not groups:
            break
        for group in groups:
            if change.bytes > limit:
                dropped += change.delete(group, missing=True)
    trim_missing(change.db)
    return dropped
