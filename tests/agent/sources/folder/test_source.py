"""A folder: every image is read once, complete, in its order."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.core.records import FileVersion
from agent.sources.folder import FolderSource
from tests.support.image_folder import Scanner, follow_to_the_end, gray, names, nothing, png, read_all


def test_files_are_read_in_order_with_mixed_sizes_and_depths(tmp_path: Path) -> None:
    (tmp_path / "c.png").write_bytes(png(3, np.uint16))
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "B.TIF").write_bytes(cv2.imencode(".tif", gray(2, np.uint8, (8, 10, 3)))[1].tobytes())
    frames = read_all(FolderSource(tmp_path))
    assert names(frames) == ["B.TIF", "a.png", "c.png"]
    assert [frame.image.shape for frame in frames] == [(8, 10, 3), (24, 32, 1), (24, 32, 1)]
    assert [frame.image.dtype for frame in frames] == [np.uint8, np.uint8, np.uint16]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [2, 1, 3]


def test_text_hidden_and_half_written_files_are_skipped(tmp_path: Path) -> None:
    for name in ("notes.txt", ".hidden.png", "part.png.tmp", "good.png"):
        (tmp_path / name).write_bytes(png(1))
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    source = FolderSource(tmp_path)
    assert names(read_all(source)) == ["good.png"]
    assert source.files.quarantined == 0


def test_folders_below_are_read_if_recursive(tmp_path: Path) -> None:
    (tmp_path / "day" / "line").mkdir(parents=True)
    (tmp_path / ".trash").mkdir()
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "day" / "line" / "b.png").write_bytes(png(2))
    (tmp_path / ".trash" / "c.png").write_bytes(png(3))
    assert names(read_all(FolderSource(tmp_path))) == ["a.png"]
    assert names(read_all(FolderSource(tmp_path, recursive=True))) == ["a.png", "day/line/b.png"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist, wanted a folder of images"),
        (lambda path: path.write_text("x"), "is not a folder, wanted a folder of images"),
        (lambda path: path.mkdir(), "holds no image, wanted"),
    ],
)
def test_folder_that_cannot_be_used_is_a_one_line_error(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "in")
    with pytest.raises(Permanent, match=message) as error:
        FolderSource(tmp_path / "in").open()
    assert "\n" not in str(error.value)
    assert str(tmp_path / "in") in str(error.value)


def test_a_frame_has_the_time_and_the_version_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    nanoseconds = 1_700_000_000_123_456_789
    os.utime(tmp_path / "a.png", ns=(nanoseconds, nanoseconds))
    (frame,) = read_all(FolderSource(tmp_path))
    assert frame.captured_at == datetime(2023, 11, 14, 22, 13, 20, 123456, timezone.utc)
    assert frame.file == FileVersion("a.png", len(png(1)), nanoseconds)


@pytest.mark.parametrize("seconds", [-1e9, 1e15])
def test_a_time_beyond_the_calendar_is_the_nearest_that_it_has(tmp_path: Path, seconds: float) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    try:
        os.utime(tmp_path / "a.png", (seconds, seconds))
    except OSError:
        pytest.skip("the file system does not take such times")
    (frame,) = read_all(FolderSource(tmp_path))
    assert frame.captured_at.tzinfo is timezone.utc


def test_numbers_in_names_are_ordered_by_value(tmp_path: Path) -> None:
    for name in ("part_10.png", "part_2.png", "part_1.png", "²2.png"):
        (tmp_path / name).write_bytes(png(1))
    assert names(read_all(FolderSource(tmp_path)))[:3] == ["part_1.png", "part_2.png", "part_10.png"]


def test_skipped_formats_are_counted_and_reported_once_each(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.avif", "b.avif", "notes.csv", "1.png", "z.png.tmp", ".hidden"):
        (tmp_path / name).write_bytes(png(1))
    (tmp_path / "README").write_text("no image")
    (tmp_path / "day").mkdir()
    source = FolderSource(tmp_path)
    assert names(read_all(source)) == ["1.png"]
    assert source.files.skipped == 5
    assert source.files.quarantined == 0
    assert sorted(record.getMessage().split(": ")[1].split(" are")[0] for record in caplog.records) == [
        ".avif files",
        ".csv files",
        "files without a suffix that",
        "folders below it",
    ]


def test_files_without_a_suffix_are_images_by_their_content(tmp_path: Path) -> None:
    """One that has just begun to be written is neither read nor counted as skipped."""

    def nothing_skipped() -> None:
        assert source.files.skipped == 0

    steps = [
        lambda: (tmp_path / "scan").write_bytes(b""),
        *[nothing_skipped] * 4,
        lambda: (tmp_path / "scan").write_bytes(png(3)[:8]),
        lambda: (tmp_path / "scan").write_bytes(png(3)),
        *[nothing] * 5,
    ]
    source = Scanner(*steps).follow(tmp_path)
    assert names(follow_to_the_end(source)) == ["scan"]
    assert source.files.quarantined == 0


def test_name_that_is_not_utf_8_can_be_sent(tmp_path: Path) -> None:
    """An alarm names its file, and its document is JSON."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/part-\xe4.png")).write_bytes(png(1))
    assert names(read_all(FolderSource(tmp_path))) == ["part-\ufffd.png"]
