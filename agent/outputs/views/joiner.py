"""Joins the results of cameras that see the same part: one result for each part, stored together with its last view."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agent.core.clock import utc_now
from agent.core.errors import Temporary
from agent.core.ids import new_id
from agent.core.problems import Problems
from agent.core.records import Part, PartVerdict, place_of_group
from agent.messages import JoinedResultPayload, ViewPayload
from agent.outputs.outbox import Following, Message, Outbox
from agent.outputs.output import Output
from agent.outputs.part_counts import PartCounts
from agent.outputs.part_log import PartLog
from agent.outputs.views.tables import (
    KeptView,
    Key,
    create_tables,
    forget_views,
    joined_views,
    keep_view,
    next_sequence,
    remember_views,
    views_of,
    waiting_keys,
)
from agent.parts import ViewVerdict, join_views

log = logging.getLogger(__name__)

# After an error of the disk, an overdue part is tried again after this time.
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ViewGroup:
    """Cameras that see the same part."""

    name: str
    cameras: tuple[str, ...]
    within_seconds: float
    """How long after the first view the last one may come."""

    @property
    def place(self) -> str:
        """Stands for the group where else the name of a camera stands: no camera has such a name."""
        return place_of_group(self.name)


@dataclass(slots=True)
class JoinCounts:
    """What became of the parts of one group since the agent started."""

    waiting: int = 0
    """Parts that wait for a view now."""
    late_views: int = 0
    """Results of cameras that came after the joined result."""
    latest: JoinedResultPayload | None = None
    """The latest joined result; None before the first."""


@dataclass(frozen=True, slots=True)
class _Joined:
    """A part has its result."""

    payload: JoinedResultPayload
    part: Part


@dataclass(frozen=True, slots=True)
class _Late:
    """A view came after the result."""

    camera: str


@dataclass(slots=True)
class _Changes:
    """What transactions have changed that are not committed yet. One that is repeated changes the same once more."""

    events: dict[tuple[Key, str], float | _Joined | _Late] = field(default_factory=dict)
    """In their order, by part and the result of the camera behind it: the deadline of a part that waits from now on
    (monotonic seconds), and what became of others."""
    sequences: dict[str, int] = field(default_factory=dict)


class ViewJoiner:
    """Joins views within the transactions of the recorder of results, whose thread alone calls it, but for `counts`.

    A part that is half joined when the agent ends is joined after the next start, where its time begins again.
    """

    on_joined: Callable[[Part, str], None] | None = None
    """Takes each joined part with the id of its result, once it is stored; to be set before `begin`."""

    def __init__(
        self,
        site: str,
        groups: Sequence[ViewGroup],
        outputs: Sequence[Output],
        outbox: Outbox,
        part_counts: PartCounts,
        problems: Problems,
        *,
        part_log: PartLog | None = None,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        site: for the documents.
        groups: no camera is in two of them.
        outputs: build the messages, and show the joined parts.
        outbox: of the results; what waits for a view is in its file.
        part_counts: counts the joined parts.
        problems: takes late views.
        part_log: notes the joined parts; None: nobody looks them up.
        now: wall clock, UTC.
        clock: monotonic seconds.
        """
        self._site = site
        self._outputs = outputs
        self._outbox, self._problems = outbox, problems
        self._part_counts, self._part_log = part_counts, part_log
        self._now = now
        self._clock = clock
        self._changes = _Changes()
        self._sequences: dict[str, int] = {}
        self._start = clock()
        self._deadlines: dict[Key, float] = {}
        self._groups: dict[str, ViewGroup] = {}
        self._ending: dict[str, ViewGroup] = {}  # removed ones: a full disk may keep their last parts waiting
        self.counts: Mapping[str, JoinCounts] = {}
        """By the name of the group. Any thread may read it."""
        self._use(groups)

    def begin(self) -> None:
        """The cameras start: the time of the parts that an earlier run has left half joined begins again."""
        self._start = self._clock()
        self._deadlines = {
            key: self._start + self._groups[key[0]].within_seconds
            for key in self._outbox.read(waiting_keys)
            if key[0] in self._groups
        }
        self._count_waiting()

    def following(self, part: Part, identity: str) -> Following | None:
        """What follows from the result of a camera, whose id is `identity`; None where it belongs to no group."""
        group = self._group_of.get(part.camera)
        if group is None:
            return None
        kept = KeptView(ViewPayload.of(part, identity), self._outbox.epoch, part.started_monotonic)
        deadline = self._clock() + group.within_seconds
        return lambda db: self._take(db, group, part.part, kept, deadline)

    def committed(self) -> None:
        """The transactions since the last call are durable: take over what they changed, and show it."""
        changes, self._changes = self._changes, _Changes()
        self._sequences |= changes.sequences
        for (key, _), event in changes.events.items():
            if isinstance(event, _Joined):
                self._deadlines.pop(key, None)
                self._show(event)
            elif isinstance(event, _Late):
                self._report_late(self._group_at(key[0]), key[1], event.camera)
            else:
                self._deadlines.setdefault(key, event)
        if changes.events:
            self._count_waiting()

    @property
    def groups(self) -> tuple[ViewGroup, ...]:
        """The groups in force. May be read from any thread."""
        return tuple(self._groups.values())

    def adopt(self, groups: Sequence[ViewGroup]) -> None:
        """Join views in these groups from now on: by other cameras or time limits, or in others than before.

        A part that waits in a group whose cameras change, or that is removed, gets its result now, by the old cameras:
        what it lacks is missing. Other parts keep the time limit that they began with.
        """
        cameras = {group.place: set(group.cameras) for group in groups}
        changed = {place: group for place, group in self._groups.items() if set(group.cameras) != cameras.get(place)}
        self._deadlines |= {key: self._clock() for key in self._deadlines if key[0] in changed}
        self.expire()
        for place in self._groups.keys() - cameras.keys():
            self._problems.set(place, None)
            self._ending[place] = self._groups[place]
        self._use(groups)

    def _use(self, groups: Sequence[ViewGroup]) -> None:
        self.counts = {**{group.name: JoinCounts() for group in groups}, **self.counts}
        self._groups = {group.place: group for group in groups}
        self._group_of = {camera: group for group in groups for camera in group.cameras}

    def _group_at(self, place: str) -> ViewGroup:
        return self._groups.get(place) or self._ending[place]

    @property
    def wait_seconds(self) -> float | None:
        """Until the time of a part is over, seconds; None where none waits."""
        deadline = min(self._deadlines.values(), default=None)
        return None if deadline is None else max(0.0, deadline - self._clock())

    def expire(self) -> None:
        """Give parts whose time is over their result, without the views that are missing."""
        now = self._clock()
        due = [key for key, deadline in self._deadlines.items() if deadline <= now]
        if not due:
            return
        try:
            self._outbox.add_following(lambda db: [each for key in due for each in self._end(db, key)])
        except Temporary as error:
            log.warning("%d parts wait for their joined result: %s", len(due), error)
            self._changes = _Changes()
            self._deadlines |= dict.fromkeys(due, now + _RETRY_SECONDS)
        else:
            for key in due:
                del self._deadlines[key]
            self.committed()

    def _show(self, joined: _Joined) -> None:
        self.counts[joined.payload.group].latest = joined.payload
        if not joined.payload.missing:
            self._problems.set(joined.part.camera, None)
        for output in self._outputs:
            output.show_result(joined.part)
        if self.on_joined is not None:
            self.on_joined(joined.part, joined.payload.id)

    def _report_late(self, group: ViewGroup, part: str, camera: str) -> None:
        counts = self.counts[group.name]
        counts.late_views += 1
        text = (
            f"parts.{group.name}: the view of {camera} came after the result of part {ascii(part)[1:-1]}, which lacks "
            f"it; wanted within {group.within_seconds:g} s of the first view ({counts.late_views} late since the start)"
        )
        log.log(logging.WARNING if counts.late_views == 1 else logging.DEBUG, "%s", text)
        self._problems.set(group.place, text)

    def _count_waiting(self) -> None:
        for place, group in {**self._ending, **self._groups}.items():
            self.counts[group.name].waiting = sum(key[0] == place for key in self._deadlines)

    # Within a transaction

    def _take(
        self, db: sqlite3.Connection, group: ViewGroup, part: str, kept: KeptView, deadline: float
    ) -> list[tuple[str, Message]]:
        """Take in one view; returns the messages of the joined result where it is the last one."""
        create_tables(db)
        key = group.place, part
        views = views_of(db, key)
        if not views and self._is_over(db, key, kept.view):
            return []
        keep_view(db, key, kept)
        if views.keys() | {kept.view.camera} >= set(group.cameras):
            return self._end(db, key, kept.view.result)
        self._changes.events[key, kept.view.result] = deadline
        return []

    def _is_over(self, db: sqlite3.Connection, key: Key, view: ViewPayload) -> bool:
        """Whether the part has its result already. Where this camera's view is in it, the part is shown again."""
        known = joined_views(db, key)
        if known is None:
            return False
        if view.camera in known:
            return known[view.camera] == view.result
        remember_views(db, key, {**known, view.camera: view.result})
        self._changes.events[key, view.result] = _Late(view.camera)
        return True

    def _end(self, db: sqlite3.Connection, key: Key, last: str = "") -> list[tuple[str, Message]]:
        """Store the joined result of the views that there are; returns its messages.

        `last`: id of the result that completes it; empty where its time is over.
        """
        create_tables(db)
        group, kept = self._group_at(key[0]), views_of(db, key)
        forget_views(db, key)
        views = [kept[camera].view for camera in group.cameras if camera in kept]
        if not views:
            return []
        here = self._outbox.epoch
        started = min(each.started_monotonic if each.epoch == here else self._start for each in kept.values())
        payload = self._payload(db, group, key[1], views, self._clock() - started)
        part = _joined_part(payload, group, started)
        remember_views(db, key, {view.camera: view.result for view in views})
        self._part_counts.counting(part, payload.id, self._now())(db)
        if self._part_log is not None:
            self._part_log.noting(part, payload.id)(db)
        self._changes.events[key, last] = _Joined(payload, part)
        messages = (output.joined_message(payload) for output in self._outputs)
        return [(group.place, message) for message in messages if message is not None]

    def _payload(
        self, db: sqlite3.Connection, group: ViewGroup, part: str, views: list[ViewPayload], latency_seconds: float
    ) -> JoinedResultPayload:
        missing = [camera for camera in group.cameras if camera not in {view.camera for view in views}]
        joined = join_views([ViewVerdict(view.verdict, view.reason) for view in views], missing=bool(missing))
        products = {view.product for view in views}
        sequence = next_sequence(db, group.place, self._sequences.get(group.place, 0))
        self._changes.sequences[group.place] = sequence
        return JoinedResultPayload(
            id=new_id(),
            sequence=sequence,
            epoch=self._outbox.epoch,
            site=self._site,
            group=group.name,
            part=part,
            product=products.pop() if len(products) == 1 else None,
            verdict=joined.verdict,
            reason=joined.reason,
            missing=missing,
            views=views,
            captured_at=min(view.captured_at for view in views),
            latency_ms=round(max(0.0, latency_seconds) * 1000.0, 3),
        )


def _joined_part(payload: JoinedResultPayload, group: ViewGroup, started_monotonic: float) -> Part:
    """The part for numbers, and for outputs that show a state; with the score of the view worst for its threshold."""
    judged = [view for view in payload.views if view.score is not None and view.threshold is not None]
    nok = [view for view in judged if view.verdict is PartVerdict.NOK]
    worst = max(nok or judged, key=lambda view: (view.score or 0.0) / (view.threshold or 1.0), default=None)
    unjudged = payload.verdict is PartVerdict.NOT_JUDGED
    return Part(
        part=payload.part,
        camera=group.place,
        verdict=payload.verdict,
        reason=payload.reason,
        score=None if worst is None or unjudged else worst.score,
        threshold=None if worst is None else worst.threshold,
        calibration=None,
        frames=sum(view.frames for view in payload.views),
        frame=None,
        captured_at=payload.captured_at,
        started_monotonic=started_monotonic,
        product=payload.product,
        announced=all(view.announced for view in payload.views),
        alarm=worst.alarm if worst is not None and payload.verdict is PartVerdict.NOK else None,
    )
