"""Alarms and judgements stay, whatever happens to the evidence, the agent or the file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from agent.core.crop import Crop
from agent.core.errors import Permanent, Temporary
from agent.core.ids import new_id
from agent.review import journal as journal_module
from agent.review.archive import open_archive
from agent.review.database import SCHEMA, ReviewDatabase
from agent.review.journal import Journal, alarms_in_evidence
from agent.review.records import AlarmFilter, Judged
from tests.support.judged import AT, judgement, open_journal, record


def test_alarm_comes_back_as_it_was(tmp_path: Path) -> None:
    journal, database, _ = open_journal(tmp_path)
    alarm = record(seconds=12.5, frames=250, origin="a/b.png", crop=Crop(x=1, y=2, width=30, height=40))
    journal.add(alarm)
    journal.add(alarm)
    database.close()
    again, database, _ = open_journal(tmp_path)
    (known,) = again.alarms()
    assert known.alarm == alarm
    assert known.verdict is None
    database.close()


def test_end_of_an_alarm_raises_its_peak_and_never_lowers_it(tmp_path: Path) -> None:
    journal, _, _ = open_journal(tmp_path)
    alarms = [record(peak=3.5) for _ in range(3)]
    journal.add_all(alarms)
    for alarm, peak in zip(alarms, (9.0, 1.0, None), strict=True):
        journal.clear(alarm.id, AT + timedelta(seconds=3), peak)
    assert [journal.find(alarm.id).alarm.peak for alarm in alarms] == [9.0, 3.5, 3.5]
    assert journal.find(alarms[0].id).alarm.cleared_at == AT + timedelta(seconds=3)


def test_judgement_can_be_changed_and_all_are_kept(tmp_path: Path) -> None:
    journal, _, _ = open_journal(tmp_path)
    alarm = record()
    journal.add(alarm)
    first = journal.judge(judgement(alarm, Judged.TRUE, "Anna", note="deep", defect="scratch"))
    second = journal.judge(judgement(alarm, Judged.FALSE, "Ben"))
    known = journal.find(alarm.id)
    assert known.judgements == (first, second)
    assert known.verdict is Judged.FALSE
    assert first.number < second.number
    assert journal.counts() == {"alarms": 1, "true": 0, "false": 1, "unjudged": 0}


def test_alarms_are_selected_by_camera_and_verdict(tmp_path: Path) -> None:
    journal, _, _ = open_journal(tmp_path)
    alarms = [record(seconds=index, camera=f"line{index % 2}") for index in range(6)]
    journal.add_all(alarms)
    journal.judge(judgement(alarms[0], Judged.TRUE))
    journal.judge(judgement(alarms[1], Judged.FALSE))
    ids = [alarm.id for alarm in alarms]
    assert [known.alarm.id for known in journal.alarms(limit=2)] == [ids[5], ids[4]], "newest first"
    assert [known.alarm.id for known in journal.alarms(camera="line1")] == [ids[5], ids[3], ids[1]]
    assert [known.alarm.id for known in journal.alarms(verdict=Judged.FALSE)] == [ids[1]]
    assert {known.alarm.id for known in journal.alarms(judged=True)} == {ids[0], ids[1]}
    assert [known.alarm.id for known in journal.alarms(judged=False, camera="line0")] == [ids[4], ids[2]]
    assert journal.counts("line0") == {"alarms": 3, "true": 1, "false": 0, "unjudged": 2}


def test_alarm_is_found_by_the_end_of_its_id(tmp_path: Path) -> None:
    journal, _, _ = open_journal(tmp_path)
    alarms = [record() for _ in range(3)]
    journal.add_all(alarms)
    assert journal.find(alarms[1].id[-8:].upper()).alarm == alarms[1]
    with pytest.raises(Permanent, match="several alarms have"):
        journal.find(alarms[1].id[:4])
    for text in ("", "none", "%", "a_b", "x" * 65, "a'; DROP TABLE alarm; --"):
        with pytest.raises(Permanent) as error:
            journal.find(text)
        assert "\n" not in str(error.value)


def test_judged_alarms_outlive_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MOST_UNJUDGED", 10)
    monkeypatch.setattr(journal_module, "_CHECK_EVERY", 5)
    journal, _, _ = open_journal(tmp_path)
    old = record(seconds=-1000)
    journal.add(old)
    journal.judge(judgement(old, Judged.TRUE))
    alarms = [record(seconds=index) for index in range(40)]
    for alarm in alarms:
        journal.add(alarm)
    kept = [known.alarm.id for known in journal.alarms()]
    assert kept[-1] == old.id
    assert 10 <= len(kept) - 1 < 10 + 5, "checked every five alarms"
    assert kept[:-1] == [alarm.id for alarm in alarms[::-1]][: len(kept) - 1]


def test_alarms_of_an_earlier_release_are_found_in_the_evidence(tmp_path: Path) -> None:
    identity, camera_fault = new_id(), new_id()
    for name, image in ((identity, "heatmap.png"), (camera_fault, "frame.jpg")):
        folder = tmp_path / "evidence" / "line1" / name
        folder.mkdir(parents=True)
        (folder / image).touch()
    (tmp_path / "evidence" / "line1" / "notes").mkdir()
    found = alarms_in_evidence(tmp_path / "evidence", set())
    assert {(alarm.id, alarm.kind) for alarm in found} == {(identity, "defect"), (camera_fault, "camera")}
    assert all(abs(alarm.raised_at.timestamp() - time.time()) < 60 for alarm in found)
    journal, _, _ = open_journal(tmp_path)
    journal.add_all(found)
    assert alarms_in_evidence(tmp_path / "evidence", journal.known()) == []
    assert journal.find(identity).alarm.score is None


def test_corrupt_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal, database, folders = open_journal(tmp_path)
    journal.add(record())
    database.close()
    folders.database.write_bytes(b"no database at all" * 1000)
    journal, _, _ = open_journal(tmp_path)
    assert journal.alarms() == []
    journal.add(record())
    assert len(list(folders.review.glob("alarms.sqlite.corrupt-*"))) == 1
    assert "was corrupt: set aside as" in caplog.text


def test_archive_is_only_read(tmp_path: Path) -> None:
    journal, database, folders = open_journal(tmp_path)
    journal.add(record())
    database.close()
    before = {path: path.stat().st_mtime_ns for path in folders.review.rglob("*")}
    with open_archive(folders) as archive:
        assert len(archive.alarms()) == 1
        with pytest.raises(Temporary, match="readonly"):
            archive.add(record())
    assert {path: path.stat().st_mtime_ns for path in folders.review.rglob("*")} == before
    with pytest.raises(Permanent, match="no such file"), open_archive(type(folders).of(tmp_path / "elsewhere")):
        pass


WRITER = """
import sys
from pathlib import Path
from agent.review.records import AlarmFilter, Judged
from tests.support.judged import judgement, open_journal, record
journal, _, _ = open_journal(Path(sys.argv[1]))
while True:
    alarm = record()
    journal.add(alarm)
    number = journal.judge(judgement(alarm, Judged.TRUE)).number
    print(alarm.id, number, flush=True)
"""


def test_judgements_survive_a_killed_agent(tmp_path: Path) -> None:
    """Every judgement that was acknowledged is there afterwards, and another process can read meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().split() for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += [line.split() for line in process.stdout.read().splitlines() if len(line.split()) == 2]
    process.wait()
    journal = Journal(ReviewDatabase(tmp_path / "review" / "alarms.sqlite"))
    for alarm, number in acknowledged:
        assert journal.find(alarm).judgements[-1].number == int(number)


def test_file_of_an_earlier_release_has_no_products_and_takes_them(tmp_path: Path) -> None:
    """Also for a reader without the right to write."""
    path = tmp_path / "review" / "review.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA.replace("product TEXT, ", ""))
        columns = "id, camera, kind, raised_at, seconds, frames"
        values = (new_id(), "line1", "defect", "2026-03-01T12:00:00.000+00:00", 0.0, 0)
        connection.execute(f"INSERT INTO alarm ({columns}) VALUES (?, ?, ?, ?, ?, ?)", values)
    connection.close()
    database = ReviewDatabase(path, read_only=True)
    assert [known.alarm.product for known in Journal(database).alarms()] == [None]
    database.close()
    database = ReviewDatabase(path)
    journal = Journal(database)
    journal.add(record(product="A"))
    assert {known.alarm.product for known in journal.alarms()} == {None, "A"}
    assert [known.alarm.product for known in journal.alarms(where=AlarmFilter(product="A"))] == ["A"]
    database.close()


def test_neighbours_of_an_alarm_among_many_are_those_next_to_it(tmp_path: Path) -> None:
    journal, database, _ = open_journal(tmp_path)
    alarms = [record(raised_at=AT + timedelta(seconds=number)) for number in range(700)]
    journal.add_all(alarms)
    middle = alarms[20].id
    older, newer = AlarmFilter(before=middle), AlarmFilter(after=middle)
    assert [known.alarm.id for known in journal.alarms(limit=2, where=older)] == [alarms[19].id, alarms[18].id]
    assert [known.alarm.id for known in journal.alarms(limit=2, where=newer)] == [alarms[22].id, alarms[21].id]
    assert journal.alarms(where=AlarmFilter(after=alarms[-1].id)) == []
    since = AlarmFilter(since=AT + timedelta(seconds=600), before=middle)
    assert journal.number(None, None, False, since) == 100, "wherever in the list"
    assert journal.number(None, Judged.TRUE, True, None) == 0
    database.close()
