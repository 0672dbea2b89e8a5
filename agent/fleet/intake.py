"""Sorts what arrives: the latest documents to the table, alarms and events to the history."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.core.errors import Permanent
from agent.fleet.broker.documents import MAX_DOCUMENT_BYTES, Document, Documents
from agent.fleet.broker.faults import Faults
from agent.fleet.broker.topic_tree import Place, TopicTree
from agent.fleet.history.entries import Entry, alarm_entry, event_entry, verdict_entry
from agent.messages import UNSYNCHRONISED, AlarmPayload, EventPayload, VerdictPayload, parse
from agent.mqtt import Received


class Intake:
    """Takes messages on the thread of the connection; never raises for what is in them."""

    def __init__(self, tree: TopicTree, documents: Documents, faults: Faults, record: Callable[[Entry], None]) -> None:
        """`record` takes entries for the history."""
        self._tree = tree
        self._documents = documents
        self._faults = faults
        self._record = record
        self._clocks: dict[str, bool] = {}

    def take(self, message: Received) -> None:
        """One message on any topic."""
        now = time.time()
        if len(message.payload) > MAX_DOCUMENT_BYTES:
            self._faults.add(message.topic, f"{len(message.payload)} bytes, wanted {MAX_DOCUMENT_BYTES} at most", now)
            return
        place = self._tree.read(message.topic)
        if place is None:
            self._faults.add(message.topic, "not a topic of an agent", now)
        elif place.document in ("status", "state", "count"):
            document = Document(message.payload, not message.retained, now, time.monotonic())
            if not self._documents.put(place, document):
                self._faults.add(message.topic, "there are more cameras than max_cameras allows", now)
        else:
            self._take_entry(message.topic, place, message.payload, now)

    def take_clocks(self) -> dict[str, bool]:
        """By agent: whether it doubted its clock in its latest alarm since the last call."""
        taken, self._clocks = self._clocks, {}
        # The thread of the connection may still be writing to the old one.
        return dict(taken)

    def _take_entry(self, topic: str, place: Place, payload: bytes, now: float) -> None:
        try:
            self._record(self._entry(place, payload, now))
        except Permanent as error:
            self._faults.add(topic, str(error), now)

    def _entry(self, place: Place, payload: bytes, now: float) -> Entry:
        """Raises Permanent where the message does not fit."""
        if place.document == "event":
            event = parse(EventPayload, payload)
            place.check_names(event.site, event.camera)
            return event_entry(place, event, now)
        if place.document == "verdict":
            verdict = parse(VerdictPayload, payload)
            place.check_names(verdict.site, verdict.camera)
            return verdict_entry(place, verdict, now)
        alarm = parse(AlarmPayload, payload)
        place.check_names(alarm.site, alarm.camera)
        self._clocks[place.agent] = alarm.clock == UNSYNCHRONISED
        return alarm_entry(place, alarm, now)
