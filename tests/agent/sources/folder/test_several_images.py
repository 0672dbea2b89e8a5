"""A file of several frames is so many images; a killed agent goes on with the next one."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import Permanent, Temporary
from agent.sources import EndOfStream, Ledger
from agent.sources.folder import FolderSource
from agent.sources.source import Captured
from engines.images import FileReading, RawFormat

FRAMES = 4
READING = FileReading(raw=RawFormat(width=8, height=4, frames=FRAMES))


def write(path: Path, first: int) -> Path:
    """A raw file whose frames have the values `first`, `first` + 1, …"""
    values = np.arange(first, first + FRAMES, dtype="<u2")
    path.write_bytes(np.repeat(values, 32).tobytes())
    return path


def folder(path: Path, ledger: Ledger | None = None, *, follow: bool = False) -> FolderSource:
    source = FolderSource(path, follow=follow, settle_seconds=0.0, reading=READING, quarantine_directory=path / "q")
    if ledger is not None:
        source.use_ledger(ledger)
    return source


def rest(source: FolderSource) -> list[Captured]:
    found = []
    with source, suppress(EndOfStream):
        while True:
            found.append(source.read())
    return found


def test_each_frame_has_a_name_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "a.raw", 10)
    write(tmp_path / "b.raw", 20)
    found = rest(folder(tmp_path))
    assert [each.origin for each in found] == [f"{name}#{number}.raw" for name in "ab" for number in (1, 2, 3, 4)]
    assert [int(each.image[0, 0, 0]) for each in found] == [10, 11, 12, 13, 20, 21, 22, 23]
    assert len({each.file for each in found}) == 8


@pytest.mark.parametrize("finished", range(FRAMES + 1))
def test_killed_agent_goes_on_with_the_next_frame(tmp_path: Path, finished: int) -> None:
    """Only what follows from the first frames is durable."""
    (tmp_path / "images").mkdir()
    write(tmp_path / "images" / "a.raw", 10)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    found = rest(folder(tmp_path / "images", ledger))
    for each in found[:finished]:
        assert each.file is not None
        ledger.add([each.file])
    ledger.close()
    again = Ledger(tmp_path / "ledger.sqlite")
    assert again.has_finished("a.raw") == (finished == FRAMES)
    left = rest(folder(tmp_path / "images", again))
    assert [each.file for each in left] == [each.file for each in found[finished:]]


def test_last_frame_that_is_rejected_does_not_finish_the_file(tmp_path: Path) -> None:
    """Those before it may not be durable yet. One copy is in quarantine, though two frames are rejected."""
    (tmp_path / "images").mkdir()
    write(tmp_path / "images" / "a.raw", 10)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    source = folder(tmp_path / "images", ledger)
    with source:
        for _ in range(FRAMES):
            captured = source.read()
            if captured.origin in ("a#3.raw", "a#4.raw"):
                source.reject(captured, "another bit depth")
    assert not ledger.has_finished("a.raw")
    assert source.files.quarantined == 2
    assert len(list((tmp_path / "images" / "q").glob("*a.raw"))) == 1
    assert "a#4.raw: another bit depth" in str(source.files.latest_quarantined)
    ledger.close()
    left = rest(folder(tmp_path / "images", Ledger(tmp_path / "ledger.sqlite")))
    assert [each.origin for each in left] == ["a#1.raw", "a#2.raw", "a#4.raw"]


def test_truncated_file_is_set_aside_and_raw_files_need_a_format(tmp_path: Path) -> None:
    write(tmp_path / "a.raw", 10)
    (tmp_path / "b.raw").write_bytes(bytes(100))
    source = folder(tmp_path)
    assert len(rest(source)) == FRAMES
    assert source.files.quarantined == 1
    assert "100 bytes, wanted 256" in str(source.files.latest_quarantined)
    with pytest.raises(Permanent, match="holds no image"):
        FolderSource(tmp_path).open()


def test_wait_for_new_images_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    source = FolderSource(tmp_path, follow=True, poll_seconds=60.0)
    with source:
        timer = threading.Timer(0.2, source.cancel)
        timer.start()
        with pytest.raises(Temporary, match="was cancelled"):
            source.read()
        timer.join()
