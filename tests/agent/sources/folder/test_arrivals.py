"""A followed folder: a file is read once this machine has seen it complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.errors import Temporary
from agent.sources.folder import GIVE_UP_SECONDS, FolderSource
from tests.support.image_folder import EndOfStepsError, Scanner, follow_to_the_end, names, nothing, png


def test_followed_folder_that_is_missing_may_return(tmp_path: Path) -> None:
    """A network share is mounted late, or disappears in mid-stream."""
    folder = tmp_path / "share"
    source = FolderSource(folder, follow=True, settle_seconds=0.0)
    with pytest.raises(Temporary, match="does not exist"):
        source.open()
    folder.mkdir()
    (folder / "a.png").write_bytes(png(1))
    source.open()
    assert source.read().origin == "a.png"
    (folder / "a.png").unlink()
    folder.rmdir()
    with pytest.raises(Temporary, match="does not exist"):
        source.read()


def test_followed_file_is_read_when_it_is_complete(tmp_path: Path) -> None:
    """A slow scanner pauses for longer than the settling time, and a BMP without its end still decodes in part."""
    written = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    content = cv2.imencode(".bmp", written)[1].tobytes()
    file = tmp_path / "slow.bmp"

    def write(part: slice) -> Callable[[], object]:
        def step() -> None:
            with file.open("ab") as out:
                out.write(content[part])

        return step

    third = len(content) // 3
    scanner = Scanner(
        write(slice(0, third)),
        nothing,
        nothing,
        nothing,
        write(slice(third, 2 * third)),
        nothing,
        write(slice(2 * third, None)),
        *[nothing] * 6,
    )
    source = scanner.follow(tmp_path)
    frames = follow_to_the_end(source)
    assert names(frames) == ["slow.bmp"]
    assert np.array_equal(frames[0].image, written)
    assert source.files.quarantined == 0


def test_followed_file_that_stays_broken_is_quarantined_once_and_delays_no_other(tmp_path: Path) -> None:
    folder, quarantine = tmp_path / "in", tmp_path / "quarantine"
    folder.mkdir()
    scanner = Scanner(
        lambda: (folder / "a.png").write_bytes(png(7)[:40]),
        lambda: (folder / "b.png").write_bytes(png(7)),
        *[nothing] * round(2.0 * GIVE_UP_SECONDS + 12),
    )
    source = scanner.follow(folder, quarantine_directory=quarantine)
    with source:
        assert source.read().origin == "b.png"
        assert source.files.quarantined == 0
        with pytest.raises(EndOfStepsError):
            source.read()
    assert source.files.quarantined == 1
    assert len((quarantine / "quarantine.jsonl").read_text().splitlines()) == 1


def test_followed_file_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "old.png").write_bytes(png(1))
    scanner = Scanner(
        *[nothing] * 4,
        lambda: (tmp_path / "new.png").write_bytes(png(2)),
        *[nothing] * 4,
        lambda: (tmp_path / "new.png").write_bytes(png(200, shape=(30, 30))),
        *[nothing] * 8,
    )
    frames = follow_to_the_end(scanner.follow(tmp_path))
    assert [(frame.origin, int(frame.image[0, 0, 0])) for frame in frames] == [
        ("old.png", 1),
        ("new.png", 2),
        ("new.png", 200),
    ]


def test_file_is_settled_by_this_machines_clock(tmp_path: Path) -> None:
    """The writer's clock may be behind: a file that looks old may still be written to."""

    def write(half: bytes) -> None:
        (tmp_path / "a.png").write_bytes(half)
        os.utime(tmp_path / "a.png", (1.0e9, 1.0e9))

    whole = png(1)
    write(whole[:40])
    steps = [nothing, lambda: write(whole), nothing, nothing, nothing]
    frames = follow_to_the_end(Scanner(*steps).follow(tmp_path))
    assert [int(frame.image.mean()) for frame in frames] == [1]


def test_overwritten_versions_are_counted_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def replace_it() -> None:
        (tmp_path / ".new").write_bytes(png(1))
        (tmp_path / ".new").rename(tmp_path / "latest.png")

    source = Scanner(*[replace_it] * 4, nothing, nothing, nothing).follow(tmp_path)
    assert names(follow_to_the_end(source)) == ["latest.png"]
    assert source.files.overwritten == 3
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "latest.png: overwritten before" in warnings[0].getMessage()
