"""A file that ends the agent while it is read is set aside; one at which the agent was killed by chance is not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.records import FileVersion
from agent.sources.folder.attempts import MAX_ATTEMPTS, Attempts
from tests.support.image_folder import png

# Reads a folder with a ledger, as the agent does; a file named `poison.png` ends the process inside the decoder.
READER = """
import os, sys
from pathlib import Path
import agent.sources.folder.source as source
from agent.sources import EndOfStream, Ledger

read = source.read_image
def crash(path, reading):
    if path.name == "poison.png":
        os.kill(os.getpid(), 11)
    return read(path, reading)
source.read_image = crash
folder = source.FolderSource(sys.argv[1], quarantine_directory=Path(sys.argv[2]) / "quarantine")
ledger = Ledger(Path(sys.argv[2]) / "ledger.sqlite")
folder.use_ledger(ledger)
with folder:
    try:
        while True:
            captured = folder.read()
            print(captured.origin, flush=True)
            ledger.add([captured.file])
    except EndOfStream:
        print(folder.files.quarantined, "in quarantine:", folder.files.latest_quarantined)
"""


def read(folder: Path, state: Path) -> tuple[int, list[str]]:
    command = [sys.executable, "-c", READER, str(folder), str(state)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout.splitlines()


def test_a_file_that_ends_the_agent_is_set_aside_and_the_others_are_read(tmp_path: Path) -> None:
    folder, state = tmp_path / "in", tmp_path / "state"
    folder.mkdir()
    for name in ("a.png", "poison.png", "z.png"):
        (folder / name).write_bytes(png(1))
    assert read(folder, state) == (-signal.SIGSEGV, ["a.png"])
    for attempt in range(1, MAX_ATTEMPTS):
        (folder / f"b{attempt}.png").write_bytes(png(1))  # another file is read first
        assert read(folder, state) == (-signal.SIGSEGV, [f"b{attempt}.png"])
    code, lines = read(folder, state)
    assert code == 0
    assert lines[0] == "z.png"
    assert f"1 in quarantine: {folder}/poison.png: the agent has ended {MAX_ATTEMPTS} times" in lines[1]
    assert read(folder, state)[1] == ["0 in quarantine: None"], "it is in the ledger"


def test_a_file_that_was_read_after_all_is_no_longer_suspected(tmp_path: Path) -> None:
    path, file = tmp_path / "file-being-read.json", FileVersion("a.png", 1, 2)
    for _ in range(3):
        for _ in range(MAX_ATTEMPTS - 1):
            assert Attempts(path).begin(file)
        attempts = Attempts(path)
        assert attempts.begin(file)
        attempts.end(file)


@pytest.mark.parametrize("content", [b"", b"[[", b"{}", b"[[1]]", b"\xff\xfe", b'[["a.png", 1, 2, 5]]\n2, 5]]\n'])
def test_a_damaged_document_suspects_no_other_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file-being-read.json"
    path.write_bytes(content)
    assert Attempts(path).begin(FileVersion("b.png", 1, 2))


def test_a_disk_that_cannot_be_written_is_no_reason_not_to_read(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    attempts = Attempts(tmp_path / "blocked" / "file-being-read.json")
    assert all(attempts.begin(FileVersion(f"{index}.png", 1, 2)) for index in range(3))
