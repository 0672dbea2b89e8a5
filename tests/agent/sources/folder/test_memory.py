"""Files that were inspected are not read again: within a run, and after a restart by the ledger."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.records import FileVersion
from agent.sources import Ledger
from agent.sources.folder import FolderSource
from agent.sources.source import Captured
from tests.support.image_folder import Scanner, follow_to_the_end, names, nothing, png, read_all


def follow_with(ledger: Ledger, folder: Path) -> list[Captured]:
    source = Scanner(*[nothing] * 5).follow(folder)
    source.use_ledger(ledger)
    return follow_to_the_end(source)


def finished(frames: list[Captured]) -> list[FileVersion]:
    return [frame.file for frame in frames if frame.file is not None]


@pytest.mark.parametrize("follow", [True, False])
def test_files_of_the_ledger_are_skipped_after_a_restart(
    tmp_path: Path, follow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    folder, ledger = tmp_path / "in", tmp_path / "ledger.sqlite"
    folder.mkdir()
    for index in range(4):
        (folder / f"{index}.png").write_bytes(png(index))

    def run() -> list[Captured]:
        opened = Ledger(ledger)
        try:
            if follow:
                return follow_with(opened, folder)
            source = FolderSource(folder)
            source.use_ledger(opened)
            return read_all(source)
        finally:
            opened.close()

    frames = run()
    assert names(frames) == ["0.png", "1.png", "2.png", "3.png"]
    first = Ledger(ledger)
    first.add(finished(frames)[:3])
    first.close()
    assert names(run()) == ["3.png"], "it was read, but nothing of it was stored"
    assert "3 of its 4 images were inspected before and are skipped; to inspect them again, stop" in caplog.text
    os.utime(folder / "1.png", ns=(5, 5))
    assert names(run()) == ["1.png", "3.png"], "a file that was written again is another version"


def test_file_that_was_away_is_not_read_again(tmp_path: Path) -> None:
    """A share is away for a moment, and its folder is empty meanwhile."""
    shelf = tmp_path.with_name("shelf")
    shelf.mkdir()
    (tmp_path / "a.png").write_bytes(png(1))
    scanner = Scanner(
        *[nothing] * 3,
        lambda: (tmp_path / "a.png").rename(shelf / "a.png"),
        *[nothing] * 3,
        lambda: (shelf / "a.png").rename(tmp_path / "a.png"),
        *[nothing] * 6,
    )
    assert names(follow_to_the_end(scanner.follow(tmp_path))) == ["a.png"]


def test_followed_folder_opened_again_reads_no_file_twice(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    scanner = Scanner(*[nothing] * 4)
    source = scanner.follow(tmp_path)
    assert names(follow_to_the_end(source)) == ["a.png"]
    scanner.steps = [lambda: (tmp_path / "b.png").write_bytes(png(2)), *[nothing] * 4]
    assert names(follow_to_the_end(source)) == ["b.png"]


def test_folder_opened_again_is_read_again(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(1))
    source = FolderSource(tmp_path)
    assert names(read_all(source)) == names(read_all(source)) == ["a.png", "b.png"]


def test_followed_folder_forgets_removed_files(tmp_path: Path) -> None:
    """Memory does not grow on a line that moves its images to an archive."""
    steps: list[Callable[[], object]] = []
    for index in range(30):
        steps += [lambda index=index: (tmp_path / f"{index}.png").write_bytes(png(index)), *[nothing] * 3]  # type: ignore[misc]
        steps += [lambda index=index: (tmp_path / f"{index}.png").unlink()]  # type: ignore[misc]
    source = Scanner(*steps, nothing, nothing).follow(tmp_path)
    assert names(follow_to_the_end(source)) == [f"{index}.png" for index in range(30)]
    assert source._finished == {}
    assert len(source._arrivals) == 0
