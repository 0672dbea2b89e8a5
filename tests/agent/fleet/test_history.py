"""Alarms and events in the database: once each, within limits, whatever happens to the file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import Permanent, Temporary
from agent.fleet.broker.topic_tree import TopicTree
from agent.fleet.history.database import Database, probe
from agent.fleet.history.entries import Entry, alarm_entry, event_entry, login_entry, verdict_entry
from agent.fleet.history.tables import MAX_TEXT
from agent.fleet.history.writer import HistoryWriter
from tests.support.broker import wait_until
from tests.support.documents import alarm, event, now, verdict

LINE = TopicTree().read("inspectd/plant/line1/alarm")
assert LINE is not None


def raised(**more: Any) -> Entry:
    return alarm_entry(LINE, alarm(**more), time.time())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    pytest.importorskip("sqlalchemy", reason="the extra fleet is not installed")
    opened = Database(str(tmp_path / "fleet.sqlite"))
    yield opened
    opened.close()


def test_alarm_is_one_row_from_raised_to_judged_however_often_it_arrives(database: Database) -> None:
    first, last = raised(id="a", score=2.0), alarm_entry(LINE, alarm("cleared", id="a", score=5.0), time.time())
    database.write([first, last, first, last])
    database.write([verdict_entry(LINE, verdict("a", "false", 2, note="drop"), time.time())])
    database.write([verdict_entry(LINE, verdict("a", "true", 1), time.time())])
    (found,) = database.alarms(10, {})
    assert (found["score"], found["verdict"], found["note"], found["judged_by"]) == (5.0, "false", "drop", "Anna")
    assert found["raised_at"] <= found["cleared_at"]


def test_alarms_of_the_last_hour_are_counted_by_camera(database: Database) -> None:
    old = raised(id="old", captured_at=now() - timedelta(hours=2))
    doubtful = raised(id="doubtful", captured_at=now() - timedelta(days=9000), clock="unsynchronised")
    ahead = raised(id="ahead", captured_at=now() + timedelta(days=2))
    database.write([raised(id="a"), raised(id="b"), old, doubtful, ahead])
    assert database.alarms_of_the_last_hour() == {("inspectd/plant", "line1"): 4}


def test_alarms_are_filtered_and_the_latest_come_first(database: Database) -> None:
    for number in range(5):
        database.write([alarm_entry(LINE, alarm(id=f"{number}"), 100.0 + number)])
    database.write([verdict_entry(LINE, verdict("3", "true", 1), 200.0)])
    assert [each["id"] for each in database.alarms(2, {})] == ["4", "3"]
    assert [each["id"] for each in database.alarms(9, {"before": 102.0})] == ["1", "0"]
    assert [each["id"] for each in database.alarms(9, {"verdict": "true"})] == ["3"]
    assert len(database.alarms(9, {"verdict": "unjudged", "camera": "line1", "kind": "defect"})) == 4
    assert database.alarms(9, {"agent": "inspectd/other"}) == []
    database.write([event_entry(LINE, event("the scores have shifted"), 1.0)])
    assert database.events("inspectd/plant", "line1", 5)[0]["text"] == "the scores have shifted"


def test_history_is_limited_by_age_and_number(database: Database) -> None:
    day = 86_400.0
    entries = [alarm_entry(LINE, alarm(id=f"{age}"), time.time() - age * day) for age in range(10)]
    database.write([*entries, login_entry("login", "anna", "127.0.0.1", "view", time.time() - 9 * day)])
    assert database.prune(days=6.5, most=100) == 4
    assert [each["id"] for each in database.alarms(100, {})] == ["0", "1", "2", "3", "4", "5", "6"]
    assert database.logins(5) == []
    assert database.prune(days=100, most=2) == 5
    assert [each["id"] for each in database.alarms(100, {})] == ["0", "1"]
    assert database.prune(days=100, most=2) == 0


def test_texts_of_agents_are_short_in_the_database(database: Database) -> None:
    database.write([raised(id="x" * 9000, reason="y" * 9000 + "\x1b[2J", product="\u202e" * 900)])
    (found,) = database.alarms(1, {})
    assert len(found["id"]) <= 64
    assert len(found["reason"]) <= MAX_TEXT
    assert found["product"].isprintable()


def test_damaged_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "fleet.sqlite"
    path.write_bytes(b"no database" * 1000)
    database = Database(str(path))
    database.write([raised(id="a")])
    assert len(database.alarms(5, {})) == 1
    assert len(list(tmp_path.glob("fleet.sqlite.corrupt-*"))) == 1
    database.close()


def test_folder_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Permanent, match=r"history\.database .*wanted a"):
        Database(str(tmp_path / "file" / "fleet.sqlite"))
    with pytest.raises(Permanent, match=r"history\.database .*wanted a"):
        Database(str(tmp_path))


def test_postgres_that_is_not_there_is_temporary_and_its_password_is_not_shown() -> None:
    pytest.importorskip("psycopg", reason="the extra fleet-postgres is not installed")
    with pytest.raises(Temporary, match=r"\*\*\*@127\.0\.0\.1") as error:
        probe("postgresql://anna:secret@127.0.0.1:1/fleet")
    assert "secret" not in str(error.value)


def test_writer_keeps_entries_while_the_database_is_locked(tmp_path: Path, database: Database) -> None:
    writer = HistoryWriter(database, days=30.0, most=100)
    blocker = sqlite3.connect(tmp_path / "fleet.sqlite", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    writer.start()
    try:
        writer.add(raised(id="a"))
        wait_until(lambda: writer.problem is not None, what="a problem that is reported")
        assert "locked" in str(writer.problem)
        writer.add(raised(id="b"))
        blocker.execute("ROLLBACK")
        wait_until(lambda: len(database.alarms(9, {})) == 2, what="both alarms")
        wait_until(lambda: writer.problem is None, what="the end of the problem")
    finally:
        writer.stop()
        blocker.close()
