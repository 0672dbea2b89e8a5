"""The audit log: what was written stays, and a change of it is found."""

from __future__ import annotations

import json
import threading
from collections import deque
from pathlib import Path

import pytest

from agent.audit import AuditLog, Entry, read_entries, verify
from agent.core.errors import Temporary
from tests.support.small_disk import fill, mounted


def filled(directory: Path, count: int = 5) -> list[Path]:
    log = AuditLog(directory)
    for number in range(count):
        log.add("pause", by=f"anna {number}", camera="line1", changed={"phase": ["armed", "paused"]})
    return sorted(directory.iterdir())


def test_entries_are_read_as_they_were_written_and_for_their_owner_only(tmp_path: Path) -> None:
    (path,) = filled(tmp_path / "audit")
    assert path.stat().st_mode & 0o777 == 0o600
    entries = list(read_entries(path.parent))
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0].changed == {"phase": ["armed", "paused"]}
    count, head, fault = verify(path.parent)
    assert (count, head, fault) == (5, entries[-1].hash, None)


def test_log_continues_after_a_restart(tmp_path: Path) -> None:
    filled(tmp_path)
    AuditLog(tmp_path).add("resume", by="otto")
    assert verify(tmp_path)[0] == 6
    assert verify(tmp_path)[2] is None


@pytest.mark.parametrize("line", [0, 2, 4])
def test_changed_entry_is_found(tmp_path: Path, line: int) -> None:
    (path,) = filled(tmp_path)
    lines = path.read_text().splitlines()
    lines[line] = lines[line].replace("anna", "otto")
    path.write_text("\n".join(lines) + "\n")
    count, _, fault = verify(tmp_path)
    assert fault is not None
    assert (count, fault.line) == (line, line + 1)


def test_changed_entry_with_a_new_hash_is_found_by_the_next(tmp_path: Path) -> None:
    """Whoever can write the file can compute a hash; the chain gives it away."""
    (path,) = filled(tmp_path)
    lines = path.read_text().splitlines()
    document = json.loads(lines[2])
    del document["hash"]
    lines[2] = Entry(**{**document, "by": "otto"}).line().decode().rstrip()
    path.write_text("\n".join(lines) + "\n")
    fault = verify(tmp_path)[2]
    assert fault is not None
    assert (fault.line, fault.reason) == (4, "entry 4 does not follow entry 3")


def test_removed_entry_is_found(tmp_path: Path) -> None:
    (path,) = filled(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:1], *lines[2:]]) + "\n")
    fault = verify(tmp_path)[2]
    assert fault is not None
    assert fault.line == 2


def test_removed_end_shows_in_the_hash(tmp_path: Path) -> None:
    (path,) = filled(tmp_path)
    before = verify(tmp_path)[1]
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    count, head, fault = verify(tmp_path)
    assert (count, fault) == (4, None)
    assert head != before


def test_line_of_a_power_cut_is_a_fault_and_the_next_entries_are_whole(tmp_path: Path) -> None:
    (path,) = filled(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"number":6,"at":"20')
    AuditLog(tmp_path).add("resume", by="otto")
    assert [entry.number for entry in read_entries(tmp_path)] == [1, 2, 3, 4, 5, 6]
    fault = verify(tmp_path)[2]
    assert fault is not None
    assert fault.line == 6


def test_oldest_file_is_deleted_and_the_rest_still_verified(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, max_file_bytes=1000)
    for _ in range(60):
        log.add("pause", by="anna")
    files = sorted(tmp_path.iterdir())
    assert len(files) == 8
    assert files[0].name != "audit-000001.jsonl"
    assert verify(tmp_path)[2] is None
    assert [entry.number for entry in log.latest(3)] == [58, 59, 60]


def test_threads_get_one_chain(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    threads = [threading.Thread(target=lambda: [log.add("pause", by="x") for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(tmp_path)[0] == 80


def test_entry_that_fits_on_the_disk_in_part_is_reported_and_the_chain_goes_on(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "64k") as disk:
        log = AuditLog(disk / "audit")
        log.add("pause", by="anna")
        fill(disk / "filler")
        # The rest of the page that holds the first entry takes some more, and a part of the next.
        with pytest.raises(Temporary, match=r"the disk is full; free some space on .*; the audit log lacks an entry"):
            deque((log.add("pause", by="anna") for _ in range(100)), maxlen=0)
        before = log.latest(1)[0].number
        assert (verify(disk / "audit")[0], verify(disk / "audit")[2]) == (before, None)
        (disk / "filler").unlink()
        assert log.add("resume", by="anna").number == before + 1
        assert (verify(disk / "audit")[0], verify(disk / "audit")[2]) == (before + 1, None)


def test_folder_that_cannot_be_written_is_reported_and_the_chain_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    directory.write_text("a file where the folder should be")
    log = AuditLog(directory)
    with pytest.raises(Temporary, match="the audit log lacks an entry"):
        log.add("pause", by="anna")
    directory.unlink()
    assert log.add("pause", by="anna").number == 1
