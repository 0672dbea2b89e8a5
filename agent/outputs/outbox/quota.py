"""The limit on disk space: the oldest images are dropped first, then the oldest alarms that are already cleared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.outputs.outbox.image_files import ImageFiles
from agent.outputs.outbox.rows import RESULT, Message, cost_of, count_up, trim_missing
from agent.outputs.outbox.transaction import Transaction

# What may be dropped: groups of rows that are dropped together, oldest first.
OLDEST_IMAGES = "SELECT id FROM message WHERE picture = 1 ORDER BY sequence, id LIMIT 64"
OLDEST_WHOLE_ALARMS = (
    "SELECT r.id, c.id FROM message c JOIN message r "
    "ON r.alarm = c.alarm AND r.output = c.output AND r.part = 'raised' AND r.picture = 0 "
    "WHERE c.picture = 0 AND c.part = 'cleared' ORDER BY c.id LIMIT 64"
)
OLDEST_RESULTS = f"SELECT id FROM message WHERE part = '{RESULT}' ORDER BY id LIMIT 64"
OLDEST_CLEARED_MESSAGES = "SELECT id FROM message WHERE picture = 0 AND part = 'cleared' ORDER BY id LIMIT 64"

# Segments that may be about half empty before images are dropped for it: those being filled and those being drained.
PARTIAL_SEGMENTS = 4


@dataclass(slots=True)
class Dropped:
    """What was dropped to make room."""

    images: int = 0
    alarms: int = 0
    """Messages, two for an alarm of which both were waiting; or results of parts."""

    def __bool__(self) -> bool:
        return self.images > 0 or self.alarms > 0


class Quota:
    """Limits the outbox to `max_bytes`: the rows by their cost, the segments by their size on the disk."""

    def __init__(self, max_bytes: int, images: ImageFiles) -> None:
        self.max_bytes = max_bytes
        self._images = images

    def fitting(self, messages: Sequence[Message]) -> list[Message]:
        """The messages without those images that do not fit even into an empty outbox."""
        kept = [message for message in messages if not message.is_image]
        room = self.max_bytes - sum(map(cost_of, kept))
        for message in messages:
            if message.is_image and cost_of(message) <= room:
                room -= cost_of(message)
                kept.append(message)
        return kept

    @property
    def _segments_exceed(self) -> bool:
        return self._images.bytes_in_use > self.max_bytes + PARTIAL_SEGMENTS * self._images.segment_bytes

    def insert_images(self, change: Transaction, camera: str, sequence: int, images: Sequence[Message]) -> None:
        """Add images where they fit without dropping anything else; otherwise they are dropped, and counted."""
        if change.bytes + sum(map(cost_of, images)) > self.max_bytes or self._segments_exceed:
            count_up(change.db, "dropped_pictures", len(images))
            return
        for image in images:
            change.insert(sequence, camera, image, None)

    def make_room(self, change: Transaction, needed: int) -> Dropped:
        """Drop, and count, what is necessary to fit `needed` more bytes."""
        dropped = Dropped()
        if change.bytes + needed > self.max_bytes or self._segments_exceed:
            change.flush()
        if change.bytes + needed > self.max_bytes:
            # A little more than needed, so that a full outbox does not do this for every alarm.
            limit = self.max_bytes - needed - self.max_bytes // 100
            dropped.images = _drop(change, limit, OLDEST_IMAGES)
            # First the alarms whose raised message is waiting too: no subscriber knows of them, nor misses their end.
            dropped.alarms = _drop(change, limit, OLDEST_WHOLE_ALARMS)
            dropped.alarms += _drop(change, limit, OLDEST_CLEARED_MESSAGES)
            dropped.alarms += _drop(change, limit, OLDEST_RESULTS)
        elif self._segments_exceed:
            # A few images occupy many segments. Their room is free after the commit: one group at a time.
            oldest = [identity for (identity,) in change.db.execute(OLDEST_IMAGES).fetchall()]
            dropped.images = change.delete(oldest)
        count_up(change.db, "dropped_pictures", dropped.images)
        count_up(change.db, "dropped_alarms", dropped.alarms)
        return dropped


def drop_older_images(change: Transaction) -> None:
    """Drop, and count, the older half of the images: the disk is full, and the next alarms need the room."""
    (waiting,) = change.db.execute("SELECT count(*) FROM message WHERE picture = 1").fetchone()
    query = "SELECT id FROM message WHERE picture = 1 ORDER BY sequence, id LIMIT ?"
    oldest = [identity for (identity,) in change.db.execute(query, (waiting // 2 + 1,)).fetchall()]
    count_up(change.db, "dropped_pictures", change.delete(oldest))


def _drop(change: Transaction, limit: int, query: str) -> int:
    """Delete the groups that `query` finds until at most `limit` bytes wait; returns the number of rows."""
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
