"""The SQLite outbox where the disk, the file or the power fails."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.core.errors import InspectdError, Permanent, Temporary
from agent.core.records import AlarmEvent
from agent.outputs.outbox import ROW_BYTES, SEQUENCE_JUMP, Entry, Message, Outbox
from agent.outputs.outbox.image_files import KEPT_SPARES, WORTH_A_SYNC, WORTH_A_THREAD
from tests.support.delivery import accept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.sqlite"


def test_quota_drops_oldest_pictures_then_oldest_cleared_alarms(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(path, max_bytes=40_000)
    for number in range(10):
        accept(outbox, f"a{number}", pictures={"heatmap": bytes(3000)})
        accept(outbox, f"a{number}", event=AlarmEvent.CLEARED)
    assert {row.alarm for row in outbox.next_pictures(100)} == {f"a{n}" for n in range(4, 10)} or outbox.next_pictures(
        1
    )
    kept = sorted(row.sequence for row in outbox.next_pictures(100))
    assert kept == list(range(kept[0], 20, 2)), "the oldest pictures went"
    assert outbox.counts().dropped_alarms == 0
    for number in range(10, 40):
        accept(outbox, f"a{number}")
        accept(outbox, f"a{number}", event=AlarmEvent.CLEARED)
    counts = outbox.counts()
    assert counts.waiting_bytes <= 40_000
    assert counts.dropped_pictures == 10
    assert counts.dropped_alarms % 2 == 0
    assert counts.missing == tuple(range(1, counts.dropped_alarms + 1)), "the oldest alarms went, raised with cleared"
    assert outbox.next_alarms(1)[0].sequence == counts.dropped_alarms + 1
    assert counts.sequence == 80
    assert "the outbox is full" in caplog.text
    outbox.close()


def test_standing_alarm_is_never_dropped(path: Path) -> None:
    outbox = Outbox(path, max_bytes=20_000)
    accept(outbox, "standing")
    for number in range(50):
        accept(outbox, f"a{number}")
        accept(outbox, f"a{number}", event=AlarmEvent.CLEARED)
    assert outbox.next_alarms(1)[0].alarm == "standing"
    outbox.close()


def test_picture_larger_than_the_quota_costs_the_picture_alone(path: Path) -> None:
    outbox = Outbox(path, max_bytes=20_000)
    accept(outbox, "a", pictures={"heatmap": bytes(30_000), "overlay": bytes(5_000)})
    assert [row.part for row in outbox.next_pictures(5)] == ["overlay"]
    assert outbox.counts().dropped_pictures == 1
    assert outbox.next_alarms(1)[0].alarm == "a"
    outbox.close()


A_DAY = pytest.param(432_000, 64 * 1024**2, marks=[pytest.mark.faults, pytest.mark.timeout(3600)])


@pytest.mark.parametrize(("total", "max_bytes"), [(400, 200_000), A_DAY])
def test_a_day_offline_stays_within_the_disk(
    path: Path, total: int, max_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Alarms at five a second, compressed in time: the file is bounded, and all is waiting or counted."""
    outbox = Outbox(path, max_bytes=max_bytes)
    for number in range(total // 2):
        accept(outbox, f"a{number}", pictures={"heatmap": bytes(2000)})
        accept(outbox, f"a{number}", event=AlarmEvent.CLEARED)
        if number % 1000 == 0:
            assert outbox.bytes_on_disk() < 2 * max_bytes + 6 * 1024**2
    counts = outbox.counts()
    assert outbox.alarms_waiting() + counts.dropped_alarms == total
    assert counts.waiting_bytes <= max_bytes
    assert outbox.bytes_on_disk() < 2 * max_bytes + 6 * 1024**2
    rows = []
    while batch := outbox.next_alarms(1):
        rows += batch
        outbox.acknowledge([row.id for row in batch])
    assert [row.sequence for row in rows] == list(range(counts.dropped_alarms + 1, total + 1))
    assert len([record for record in caplog.records if "the outbox is full" in record.message]) == 1, "told once"
    outbox.close()


def test_disk_space_is_given_back_after_an_outage(path: Path) -> None:
    outbox = Outbox(path, max_bytes=64_000_000)
    for number in range(80):
        accept(outbox, f"a{number}", pictures={"frame": bytes(500_000)})
    assert outbox.bytes_on_disk() > 80 * 500_000
    for first in range(1, 161, 10):
        outbox.acknowledge(range(first, first + 10))
    outbox.close()
    kept = sum(file.stat().st_size for file in path.with_name("outbox.sqlite.pictures").iterdir())
    assert kept < (KEPT_SPARES + WORTH_A_SYNC + 1) * 2_500_000, "spare segments, and no more"


@pytest.mark.parametrize("damage", ["header", "middle", "text"])
def test_corrupt_file_is_set_aside_and_numbers_go_on_behind_a_gap(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(path)
    for number in range(50):
        accept(outbox, f"a{number}", pictures={"heatmap": bytes(3000)})
    outbox.close()
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:100] = os.urandom(100)
    elif damage == "middle":
        content[4096 : len(content) // 2] = os.urandom(len(content) // 2 - 4096)
    path.write_bytes(b"not a database" if damage == "text" else bytes(content))
    outbox = Outbox(path)
    (aside,) = path.parent.glob("outbox.sqlite.corrupt-*")
    assert accept(outbox, "new") == 50 + SEQUENCE_JUMP + 1
    (incident,) = outbox.incidents()
    assert aside.name in incident
    assert "\n" not in incident
    assert "is corrupt" in caplog.text
    assert [row.alarm for row in outbox.next_alarms(5)] == ["new"]
    outbox.close()
    assert Outbox(path).incidents() == [], "the next start has nothing to report"


def test_file_that_goes_bad_while_open_is_replaced_and_old_pubacks_delete_nothing(path: Path) -> None:
    outbox = Outbox(path)
    for number in range(20):
        accept(outbox, f"a{number}", pictures={"heatmap": bytes(9000)})
    old = range(1, outbox.last_id() + 1)
    outbox._database.checkpoint()
    outbox._database._connection.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
    assert accept(outbox, "new") == 20 + SEQUENCE_JUMP + 1
    assert len(outbox.incidents()) == 1
    outbox.acknowledge(old)
    assert [row.alarm for row in outbox.next_alarms(5)] == ["new"]
    assert outbox.waiting() == 1
    outbox.close()


def test_second_agent_on_the_same_file_is_refused(path: Path) -> None:
    outbox = Outbox(path)
    with pytest.raises(Permanent, match="in use by another process"):
        Outbox(path)
    outbox.close()


@pytest.mark.parametrize("made", ["directory", "parent is a file"])
def test_impossible_path_is_one_line(path: Path, made: str) -> None:
    if made == "directory":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("")
    with pytest.raises(InspectdError) as caught:
        Outbox(path)
    assert str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB."""
    mount = shutil.which("mount")
    directory = tmp_path / "disk"
    directory.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(directory)]
    if mount is None or os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs takes root and a kernel that lets it")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_full_disk_gives_up_pictures_before_alarms_and_says_so(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(small_disk / "outbox.sqlite")
    accepted = [accept(outbox, f"a{number}", pictures={"frame": bytes(400_000)}) for number in range(90)]
    assert accepted == list(range(1, 91))
    assert outbox.alarms_waiting() == 90
    counts = outbox.counts()
    assert counts.dropped_pictures > 0
    assert counts.waiting == 90 + 90 - counts.dropped_pictures
    assert "the disk is full" in caplog.text
    outbox.close()


def fill(file: Path) -> None:
    """Takes all the room that is left."""
    with suppress(OSError), file.open("wb", buffering=0) as open_file:
        while open_file.write(bytes(4096)) == 4096:
            pass


def accept_until_refused(outbox: Outbox) -> tuple[int, str]:
    """How many alarms were accepted, and what was said of the next."""
    for number in range(3000):
        try:
            accept(outbox, f"a{number}")
        except Temporary as error:
            return number, str(error)
    raise AssertionError("the disk was never full")


def test_disk_that_others_filled_is_temporary_and_numbers_stay_whole(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "outbox.sqlite")
    (small_disk / "outbox.sqlite.reserve").unlink()
    fill(small_disk / "filler")
    accepted, said = accept_until_refused(outbox)
    assert "the disk is full" in said
    assert "\n" not in said
    (small_disk / "filler").unlink()
    assert accept(outbox, "after") == accepted + 1
    assert outbox.alarms_waiting() == accepted + 1
    outbox.close()


def test_group_whose_pictures_find_the_disk_full_is_accepted_without_them(small_disk: Path) -> None:
    """They are written on a thread of their own: what it runs into is told to who waits for it."""
    outbox = Outbox(small_disk / "outbox.sqlite")
    pictures = [Message("t", bytes(WORTH_A_THREAD), f"a{n}", "frame", picture=True) for n in range(16)]
    documents = [Message("t", b"{}", f"a{n}", "raised") for n in range(16)]
    accepted = 0
    while outbox.counts().dropped_pictures == 0:
        entries = [Entry("cam", lambda _, n=n: [documents[n], pictures[n]]) for n in range(16)]  # type: ignore[misc]
        accepted += len(outbox.accept_together(entries))
        assert accepted < 400, "the disk was never full"
    assert outbox.alarms_waiting() == accepted
    assert outbox.waiting() == 2 * accepted - outbox.counts().dropped_pictures
    kept = outbox.next_pictures(1000)
    assert all(row.payload == bytes(WORTH_A_THREAD) for row in kept)
    assert len(kept) == outbox.waiting() - accepted
    outbox.close()


def test_deletion_that_the_full_disk_refuses_changes_no_count(small_disk: Path) -> None:
    """What could not be deleted waits as before, and is counted once when it goes at last."""
    outbox = Outbox(small_disk / "outbox.sqlite")
    for number in range(100):
        accept(outbox, f"a{number}", camera=f"cam{number}", pictures={"frame": bytes(20_000)})
    (small_disk / "outbox.sqlite.reserve").unlink()
    fill(small_disk / "filler")
    rows = [row.id for row in outbox.next_alarms(100)]
    with suppress(Temporary):
        while True:  # the log has some room of its own
            outbox.save_state({"filler": os.urandom(100_000)})
    with suppress(Temporary):
        while True:
            outbox.save_state({"filler": b""})
    with pytest.raises(Temporary, match="the disk is full"):
        outbox.acknowledge(rows)
    assert outbox.alarms_waiting() == 100
    (small_disk / "filler").unlink()
    outbox.acknowledge(rows)
    assert outbox.alarms_waiting() == 0
    assert outbox.waiting() == 100
    outbox.close()


def test_read_only_disk_is_temporary(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "outbox.sqlite")
    accept(outbox, "first")
    outbox.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(InspectdError, match="read-only") as caught:
        accept(Outbox(small_disk / "outbox.sqlite"), "second")
    assert "\n" not in str(caught.value)


def test_many_threads_get_numbers_without_gaps(path: Path) -> None:
    outbox = Outbox(path)
    numbers: list[int] = []

    def work(camera: str) -> None:
        for number in range(25):
            numbers.append(accept(outbox, f"{camera}{number}", camera=camera))

    threads = [threading.Thread(target=work, args=(f"cam{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        outbox.acknowledge([row.id for row in outbox.next_alarms(2)])
    assert sorted(numbers) == list(range(1, 101))
    outbox.close()


def test_accept_is_synced_before_it_returns(path: Path, tmp_path: Path) -> None:
    """A kill cannot show what a power cut would: the order of the system calls does."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    script = (
        "import os, sys; from pathlib import Path; from agent.outputs.outbox import Outbox, Message\n"
        f"outbox = Outbox(Path({str(path)!r}))\n"
        "os.write(1, b'opened')\n"
        "outbox.accept('cam', lambda n: [Message('t', b'alarm-payload', 'a', 'raised')])\n"
        "os.write(1, b'accepted')\n"
    )
    trace = tmp_path / "trace"
    calls = "trace=write,pwrite64,fsync,fdatasync,openat,close"
    result = subprocess.run(
        [strace, "-f", "-y", "-s", "200", "-e", calls, "-o", str(trace), sys.executable, "-c", script],
        capture_output=True,
    )
    if b"ptrace" in result.stderr.lower() and result.returncode != 0:
        pytest.skip("tracing is not allowed here")
    assert result.returncode == 0, result.stderr.decode()
    lines = trace.read_text(errors="replace").splitlines()
    opened = next(number for number, line in enumerate(lines) if '"opened"' in line)
    accepted = next(number for number, line in enumerate(lines) if '"accepted"' in line)
    within = lines[opened:accepted]
    written = max(number for number, line in enumerate(within) if "pwrite64" in line and "-wal>" in line)
    assert any(re.search(r"f(data)?sync\(\d+<[^>]*-wal>", line) for line in within[written:]), within


def test_row_costs_what_is_counted(path: Path) -> None:
    """The quota counts `ROW_BYTES` beside the payload; the file agrees."""
    Outbox(path).close()
    empty = path.stat().st_size
    outbox = Outbox(path)
    payload = bytes(1000)
    for _ in range(200):
        outbox.accept("camera-1", lambda n: [Message("inspectd/plant/camera-1/alarm", payload, f"{n:036}", "raised")])
    outbox.close()
    assert (path.stat().st_size - empty) / 200 < 1.2 * (1000 + ROW_BYTES)


def test_log_lines_name_no_payload(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        outbox = Outbox(path, max_bytes=3000)
        for _ in range(5):
            outbox.accept("cam", lambda _: [Message("t", b"secret-in-payload", "a", "cleared")])
        outbox.reject(outbox.next_alarms(1)[0], "no")
        outbox.close()
    assert "secret-in-payload" not in caplog.text
