"""What can be read of a damaged outbox is delivered, under the same ids; the rest is reported."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from agent.core.records import AlarmEvent
from agent.outputs.outbox import SEQUENCE_JUMP, Outbox
from agent.outputs.outbox.database import PAGE_BYTES
from agent.outputs.outbox.salvage import salvage
from agent.outputs.outbox.set_aside import KEPT_ASIDE
from tests.support.delivery import accept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.sqlite"


def fill(path: Path, count: int) -> None:
    """Alarms of two cameras, each with an image, all waiting."""
    outbox = Outbox(path, max_bytes=50_000_000)
    for number in range(count):
        accept(outbox, f"a{number}", f"cam{number % 2}", AlarmEvent.RAISED, {"heatmap": b"image %d" % number})
    outbox.close()


def waiting(path: Path) -> tuple[set[str], dict[str, bytes], list[str]]:
    """The alarms that an outbox delivers, the images by alarm, and its incidents."""
    outbox = Outbox(path, max_bytes=50_000_000)
    alarms: set[str] = set()
    after: dict[str, int] = {}
    while rows := outbox.next_alarms(50, after=after):
        for row in rows:
            assert json.loads(row.payload)["id"] == row.alarm
            assert row.id > after.get(row.camera, 0), "in order per camera"
            after[row.camera] = row.id
            alarms.add(row.alarm)
    images: dict[str, bytes] = {}
    seen: list[int] = []
    while more := outbox.next_images(10_000, excluding=seen):
        images |= {row.alarm: row.payload for row in more}
        seen += [row.id for row in more]
    assert outbox.waiting() == len(alarms) + len(images)
    incidents = outbox.incidents()
    outbox.close()
    return alarms, images, incidents


def readable(path: Path) -> set[str]:
    """The alarms that SQLite reads from the start of the table."""
    found: set[str] = set()
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
        try:
            found.update(alarm for (alarm,) in db.execute("SELECT alarm FROM message WHERE picture = 0"))
        except sqlite3.DatabaseError:
            return found
    return found


def zero_page(path: Path, number: int) -> None:
    with path.open("r+b") as file:
        file.seek(number * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_zeroed_page_costs_only_what_is_on_it(path: Path, fraction: float) -> None:
    fill(path, 120)
    zero_page(path, int(path.stat().st_size / PAGE_BYTES * fraction))
    found, images, incidents = waiting(path)
    # A page holds about eight alarms; that of an interior node, none.
    assert len(found) >= 120 - 20
    assert len(images) >= 120 - 60
    assert all(images[alarm] == b"image " + alarm[1:].encode() for alarm in images)
    if incidents:
        assert re.search(rf": {len(found)} waiting alarm messages and {len(images)} images could be read", incidents[0])
        assert re.search(r"sequence numbers continue at (\d+)", incidents[0])[1] == str(120 + SEQUENCE_JUMP + 1)  # type: ignore[index]


def test_every_page_zeroed_in_turn_loses_nothing_that_sqlite_can_read(path: Path, tmp_path: Path) -> None:
    fill(path, 40)
    whole = path.read_bytes()
    for number in range(len(whole) // PAGE_BYTES):
        for file in path.parent.glob("outbox.sqlite*"):
            if file.is_file():
                file.unlink()
        path.write_bytes(whole)
        zero_page(path, number)
        known = readable(path) if number else set()
        found, _, _ = waiting(path)
        assert found >= known, f"page {number}"


def test_alarms_of_a_file_that_is_damaged_while_open_are_kept_in_memory(path: Path) -> None:
    outbox = Outbox(path, max_bytes=50_000_000)
    for number in range(20):
        accept(outbox, f"a{number}", "cam0", AlarmEvent.RAISED, {"heatmap": b"image"})
    database = outbox._storage.database
    database.checkpoint()
    database._connection.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
    delivered = outbox.next_alarms(1)[0]
    outbox._queue.acknowledged([delivered.id])
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
    assert accept(outbox, "new") == 20 + SEQUENCE_JUMP + 1
    outbox.close()
    found, images, incidents = waiting(path)
    assert found == {f"a{number}" for number in range(1, 20)} | {"new"}
    assert set(images.values()) == {b"image"}
    assert incidents == [], "reported by the process that found it"


HALF = """
import os, sys
from pathlib import Path
from agent.outputs.outbox import Outbox
from agent.outputs.outbox.salvage import Salvaged
moment, store = sys.argv[2], Salvaged.store
def stop(self, db):
    if moment == "after":
        store(self, db)
    os.kill(os.getpid(), 9)
Salvaged.store = stop
Outbox(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_process_that_is_killed_while_it_reads_a_damaged_file_loses_nothing(path: Path, moment: str) -> None:
    fill(path, 60)
    zero_page(path, 0)
    killed = subprocess.run([sys.executable, "-c", HALF, str(path), moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    found, images, _ = waiting(path)
    assert (len(found), len(images)) == (60, 60)
    assert not list(path.parent.glob("*.salvaging-*"))


def test_damaged_files_are_limited_in_number(path: Path) -> None:
    for _ in range(KEPT_ASIDE + 3):
        Outbox(path).close()
        path.write_bytes(b"not a database")
        (path.parent / "outbox.sqlite.pictures").mkdir(exist_ok=True)
    Outbox(path).close()
    assert _names(path, "outbox.sqlite.corrupt-*[0-9]") == KEPT_ASIDE
    assert _names(path, "outbox.sqlite.pictures.corrupt-*") == KEPT_ASIDE


def _names(path: Path, pattern: str) -> int:
    found: Collection[Path] = list(path.parent.glob(pattern))
    return len(found)


def test_lost_database_is_reported(path: Path) -> None:
    fill(path, 3)
    path.unlink()
    found, images, (incident,) = waiting(path)
    assert (found, images) == (set(), {})
    assert incident.startswith("the outbox file is gone, with every alarm that waited in it")
    assert incident.endswith(f"continue at {3 + SEQUENCE_JUMP + 1}")


def test_new_outbox_reports_nothing(path: Path) -> None:
    assert waiting(path) == (set(), {}, [])


def test_rows_with_damaged_values_are_left_out(path: Path) -> None:
    """Bytes changed here and there: types that are none of a message's, texts that are not UTF-8, broken JSON."""
    fill(path, 60)
    content, rng = bytearray(path.read_bytes()), Random(1)
    for place in rng.sample(range(3 * PAGE_BYTES, len(content)), len(content) // 100):
        content[place] = rng.randrange(256)
    path.write_bytes(bytes(content))
    rows = salvage(path).rows
    assert rows
    documents = [json.loads(row[10]) for row in rows.values() if not row[5]]
    assert all(isinstance(document, dict) for document in documents)
    assert len(documents) < 60, "the damage was found"
