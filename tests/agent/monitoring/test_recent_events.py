"""The latest results and alarms in memory."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone

from agent.core.records import Part, PartVerdict
from agent.monitoring import RecentEvents

PART = Part("SN1", "cam", PartVerdict.OK, None, 1.0, 2.0, "c", 1, 0, datetime(2026, 3, 1, tzinfo=timezone.utc), 0.0)


def test_a_reader_gets_each_event_once_in_order() -> None:
    events = RecentEvents()
    for number in range(3):
        events.add(PART, f"r{number}")
    assert [event.id for event in events.after(1, wait_seconds=0.0)] == ["r1", "r2"]
    assert events.after(3, wait_seconds=0.0) == []


def test_the_oldest_events_go_and_their_numbers_show_it() -> None:
    events = RecentEvents(most=2)
    for number in range(5):
        events.add(PART, f"r{number}")
    assert [event.number for event in events.after(0, wait_seconds=0.0)] == [4, 5]


def test_a_waiting_reader_is_woken_by_the_next_event() -> None:
    events, found = RecentEvents(), []
    reader = threading.Thread(target=lambda: found.extend(events.after(0, wait_seconds=30.0)))
    reader.start()
    begun = time.monotonic()
    events.add(PART, "r0")
    reader.join(60)
    assert [event.id for event in found] == ["r0"]
    assert time.monotonic() - begun < 10.0


def test_no_reader_delays_who_adds() -> None:
    """Readers that wait cost nothing but their own time."""
    events = RecentEvents()
    readers = [threading.Thread(target=events.after, args=(0,), kwargs={"wait_seconds": 0.5}) for _ in range(20)]
    for reader in readers:
        reader.start()
    begun = time.monotonic()
    for _ in range(1000):
        events.add(PART, "r")
    assert time.monotonic() - begun < 10.0
    for reader in readers:
        reader.join()
