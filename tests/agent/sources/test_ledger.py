"""The ledger: files are remembered across restarts and kills, within a limit."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.records import FileVersion
from agent.sources import Ledger
from agent.sources.ledger import FORGET_TOGETHER


def version(index: int, name: str | None = None) -> FileVersion:
    return FileVersion(name or f"{index}.png", 1000 + index, 1_700_000_000_000_000_000 + index)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cameras" / "line1" / "inspected-files.sqlite"


def test_files_are_remembered_after_a_restart(path: Path) -> None:
    ledger = Ledger(path)
    assert not ledger.contains(version(1))
    assert not path.exists(), "a camera without files has none"
    ledger.add([version(1), version(2)])
    ledger.close()
    again = Ledger(path)
    assert again.contains(version(1))
    assert again.contains(version(2))
    assert len(again) == 2
    for other in (
        FileVersion("2.png", 1001, version(1).modified_ns),
        FileVersion("1.png", 1002, version(1).modified_ns),
        FileVersion("1.png", 1001, version(1).modified_ns + 1),
        FileVersion("1.png", 1001, version(1).modified_ns, frame=1),
    ):
        assert not again.contains(other)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_only_begun_is_forgotten_at_a_restart(path: Path) -> None:
    ledger = Ledger(path)
    ledger.begin(version(1))
    assert ledger.contains(version(1))
    ledger.add([version(2)])
    ledger.close()
    assert not Ledger(path).contains(version(1))


def test_a_name_that_is_not_utf_8_is_remembered(path: Path) -> None:
    name = os.fsdecode(b"part-\xe4.png")
    Ledger(path).add([version(1, name)])
    assert Ledger(path).contains(version(1, name))
    assert not Ledger(path).contains(version(1, "part-\ufffd.png"))


def test_a_file_added_twice_is_one(path: Path) -> None:
    ledger = Ledger(path)
    for _ in range(3):
        ledger.add([version(1), version(1)])
    assert len(ledger) == len(Ledger(path)) == 1


def test_a_file_that_did_not_fit_may_fit_another_model(path: Path) -> None:
    ledger = Ledger(path, model="a")
    ledger.add([version(1), version(2)], rejected=True)
    assert ledger.contains(version(1))
    ledger.close()
    assert Ledger(path, model="a").contains(version(1))
    other = Ledger(path, model="b")
    assert not other.contains(version(1))
    other.add([version(1)])
    other.close()
    again = Ledger(path, model="a")
    assert again.contains(version(1)), "it was inspected"
    assert not Ledger(path, model="b").contains(version(2))
    assert len(again) == 2


def test_the_oldest_unlisted_files_are_forgotten_beyond_the_limit(path: Path) -> None:
    ledger = Ledger(path, max_files=50)
    total = 50 + FORGET_TOGETHER
    ledger.add([version(index) for index in range(total)])
    listed = {version(3), version(7)}
    ledger.forget_unlisted(listed)
    assert len(ledger) == len(Ledger(path)) == 50
    kept = [index for index in range(total) if ledger.contains(version(index))]
    assert kept == [3, 7, *range(total - 48, total)]


def test_listed_files_are_kept_whatever_their_number(path: Path) -> None:
    ledger = Ledger(path, max_files=50)
    files = [version(index) for index in range(50 + FORGET_TOGETHER)]
    ledger.add(files)
    ledger.forget_unlisted(set(files))
    assert len(ledger) == len(files)


def test_files_that_cannot_be_written_are_written_later(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk, as a limit on the size of files."""
    ledger = Ledger(path)
    ledger.add([version(0)])
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        for index in range(1, 300):
            ledger.add([version(index, f"{index}-{'x' * 200}.png")])
        assert ledger.problem is not None
        assert str(path) in ledger.problem
        assert "\n" not in ledger.problem
        assert ledger.contains(version(299, f"299-{'x' * 200}.png")), "for this process"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    ledger.add([version(300)])
    assert ledger.problem is None
    ledger.close()
    assert len(Ledger(path)) == 301


@pytest.mark.parametrize("damage", ["all", "a page"])
def test_a_corrupt_ledger_is_set_aside(path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger(path)
    ledger.add([version(index) for index in range(2000)])
    ledger.close()
    content = bytearray(path.read_bytes())
    content[0 if damage == "all" else 4096 :] = b"\xff" * (len(content) - (0 if damage == "all" else 4096))
    path.write_bytes(content)
    ledger = Ledger(path)
    assert not ledger.contains(version(1))
    ledger.add([version(1)])
    ledger.add([version(2)])
    assert ledger.problem is None
    ledger.close()
    assert Ledger(path).contains(version(2))
    assert path.with_name(f"{path.name}.corrupt").exists()
    assert "inspected again, under the same alarm ids" in caplog.text


def test_a_killed_process_has_added_what_it_was_asked_to(path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from agent.core.records import FileVersion; from agent.sources import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "for index in range(25): ledger.add([FileVersion(f'{index}.png', index, index)])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60).returncode == -9
    ledger = Ledger(path)
    assert all(ledger.contains(FileVersion(f"{index}.png", index, index)) for index in range(25))


def test_the_rows_can_be_read_by_a_person(path: Path) -> None:
    ledger = Ledger(path, now=lambda: 1_800_000_000.0)
    ledger.add([version(5)])
    ledger.close()
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT name, size, modified_ns, frame, added FROM file").fetchall()
    assert rows == [("5.png", 1005, 1_700_000_000_000_000_005, 0, 1_800_000_000)]
