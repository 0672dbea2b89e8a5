"""The SQLite outbox: groups, threads, damaged images, what is synced and what is logged."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.outputs.outbox import Entry, Message, Outbox
from tests.support.delivery import accept
from tests.support.outbox_files import damage_image


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.sqlite"


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
    """A kill cannot show what a power cut would do; the order of the system calls can."""
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


def test_log_lines_contain_no_payload(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        outbox = Outbox(path, max_bytes=3000)
        for _ in range(5):
            outbox.accept("cam", lambda _: [Message("t", b"secret-in-payload", "a", "cleared")])
        outbox.reject(outbox.next_alarms(1)[0], "no")
        outbox.close()
    assert "secret-in-payload" not in caplog.text


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
def test_damaged_image_is_dropped_and_counted_and_nothing_else_is_lost(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(path, max_bytes=2_000_000)
    accept(outbox, "whole", images={"heatmap": b"whole" * 1000})
    accept(outbox, "broken", images={"heatmap": b"broken" * 1000})
    location = outbox.next_images(1)[0].location
    assert location is not None
    outbox.close()
    damage_image(path.with_name("outbox.sqlite.pictures"), damage, location)
    outbox = Outbox(path, max_bytes=2_000_000)
    found = [row.alarm for _ in range(2) for row in outbox.next_images(5)]
    assert found == ([] if damage == "gone" else ["whole", "whole"])
    counts = outbox.counts()
    assert counts.dropped_pictures == (2 if damage == "gone" else 1)
    assert counts.waiting == 2 + len(found) // 2
    assert [row.alarm for row in outbox.next_alarms(5)] == ["whole"]
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1, "warned once"
    assert accept(outbox, "next", images={"heatmap": b"next"}) == 3
    assert outbox.next_images(1)[0].payload == b"next"
    outbox.close()


def test_alarms_accepted_together_are_all_there_or_none(path: Path) -> None:
    def build(sequence: int) -> list[Message]:
        if sequence == 3:
            raise ValueError("no image")
        return [Message("t", b"{}", "a", "raised"), Message("t/p", b"p" * 9000, "a", "heatmap", is_image=True)]

    outbox = Outbox(path)
    assert outbox.accept_together([Entry("cam", build), Entry("cam", build)]) == [1, 2]
    with pytest.raises(ValueError, match="no image"):
        outbox.accept_together([Entry("cam", build, {"open": b"a"})] * 3)
    assert outbox.state() == {}
    assert outbox.waiting() == 4
    assert [row.payload for row in outbox.next_images(5)] == [b"p" * 9000] * 2
    outbox.close()
