"""Folders: every file is read once and complete; unreadable files are quarantined and logged."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.errors import Permanent, Temporary
from agent.core.records import FileVersion
from agent.sources import Ledger
from agent.sources.folder import GIVE_UP_SECONDS, FolderSource
from agent.sources.source import Captured, EndOfStream
from engines.images import read_image


def gray(level: int, dtype: type = np.uint8, shape: tuple[int, ...] = (24, 32)) -> np.ndarray:
    return np.full(shape, level, dtype)


def png(level: int, dtype: type = np.uint8, shape: tuple[int, ...] = (24, 32)) -> bytes:
    return cv2.imencode(".png", gray(level, dtype, shape))[1].tobytes()


def read_all(source: FolderSource) -> list[Captured]:
    with source:
        frames = []
        while True:
            try:
                frames.append(source.read())
            except EndOfStream:
                return frames


def names(frames: list[Captured]) -> list[str | None]:
    return [frame.origin for frame in frames]


class Scanner:
    """Writes into a folder while it is followed: `sleep` advances the monotonic clock and runs the next step.

    The wall clock does not advance, so a file's modification time does not show its age.
    """

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.seconds = 50.0
        self.steps = list(steps)

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if not self.steps:
            raise EndOfStepsError
        self.steps.pop(0)()

    def follow(self, folder: Path, **options: object) -> FolderSource:
        return FolderSource(
            folder, follow=True, settle_seconds=1.0, poll_seconds=0.5, clock=self.clock, sleep=self.sleep, **options
        )  # type: ignore[arg-type]


class EndOfStepsError(Exception):
    """There are no more steps, and the source still waits."""


def nothing() -> None:
    """Half a second passes."""


def follow_to_the_end(source: FolderSource) -> list[Captured]:
    frames: list[Captured] = []
    with source:
        while True:
            try:
                frames.append(source.read())
            except EndOfStepsError:
                return frames


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
    assert source.unreadable_count == 0


def test_folders_below_are_read_if_recursive(tmp_path: Path) -> None:
    (tmp_path / "day" / "line").mkdir(parents=True)
    (tmp_path / ".trash").mkdir()
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "day" / "line" / "b.png").write_bytes(png(2))
    (tmp_path / ".trash" / "c.png").write_bytes(png(3))
    assert names(read_all(FolderSource(tmp_path))) == ["a.png"]
    assert names(read_all(FolderSource(tmp_path, recursive=True))) == ["a.png", "day/line/b.png"]


def test_unreadable_files_are_quarantined_and_the_stream_goes_on(tmp_path: Path) -> None:
    folder, quarantine = tmp_path / "in", tmp_path / "quarantine"
    folder.mkdir()
    whole = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))[1].tobytes()
    contents = {
        "a.png": whole,
        "b.png": whole[: len(whole) // 2],
        "c.png": b"not an image",
        "d.png": b"",
        "e.png": whole,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    source = FolderSource(folder, quarantine_directory=quarantine)
    assert names(read_all(source)) == ["a.png", "e.png"]
    assert source.unreadable_count == 3
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == contents
    lines = [json.loads(line) for line in (quarantine / "quarantine.jsonl").read_text().splitlines()]
    assert [Path(line["file"]).name for line in lines] == ["b.png", "c.png", "d.png"]
    for line in lines:
        assert (quarantine / line["copy"]).read_bytes() == contents[Path(line["file"]).name]
        assert line["reason"]
        assert "\n" not in line["reason"]


def test_quarantine_keeps_its_byte_limit(tmp_path: Path) -> None:
    folder, quarantine = tmp_path / "in", tmp_path / "quarantine"
    folder.mkdir()
    for index in range(10):
        (folder / f"{index}.png").write_bytes(b"x" * 400)
    source = FolderSource(folder, quarantine_directory=quarantine, quarantine_max_bytes=2500)
    assert read_all(source) == []
    assert source.unreadable_count == 10
    lines = [json.loads(line) for line in (quarantine / "quarantine.jsonl").read_text().splitlines()]
    assert len(lines) == 10
    assert sum(file.stat().st_size for file in quarantine.glob("*.png")) <= 2500
    assert [line["copy"] is None for line in lines].count(True) >= 4


def test_quarantine_that_cannot_be_written_does_not_stop_the_stream(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"x")
    (tmp_path / "good.png").write_bytes(png(1))
    (tmp_path / "blocked").write_text("a file where the folder should be")
    source = FolderSource(tmp_path, quarantine_directory=tmp_path / "blocked")
    assert names(read_all(source)) == ["good.png"]
    assert source.unreadable_count == 1


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


def test_folder_opened_again_is_read_again(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(1))
    source = FolderSource(tmp_path)
    assert names(read_all(source)) == names(read_all(source)) == ["a.png", "b.png"]


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
    assert source.unreadable_count == 0


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
        assert source.unreadable_count == 0
        with pytest.raises(EndOfStepsError):
            source.read()
    assert source.unreadable_count == 1
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


def test_followed_folder_opened_again_reads_no_file_twice(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    scanner = Scanner(*[nothing] * 4)
    source = scanner.follow(tmp_path)
    assert names(follow_to_the_end(source)) == ["a.png"]
    scanner.steps = [lambda: (tmp_path / "b.png").write_bytes(png(2)), *[nothing] * 4]
    assert names(follow_to_the_end(source)) == ["b.png"]


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


def test_an_image_that_does_not_fit_the_model_is_quarantined_once(tmp_path: Path) -> None:
    folder, kept = tmp_path / "in", tmp_path / "quarantine"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(png(1))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    source = FolderSource(folder, quarantine_directory=kept)
    source.use_ledger(ledger)
    with source:
        source.reject(source.read(), "the image has 8 bits per sample, the model wants 16")
        assert source.read().origin == "b.png"
    assert source.unreadable_count == 1
    (line,) = (kept / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == f"{folder}/a.png: the image has 8 bits per sample, the model wants 16"
    again = FolderSource(folder, quarantine_directory=kept)
    again.use_ledger(Ledger(tmp_path / "ledger.sqlite"))
    assert names(read_all(again)) == ["b.png"], "b.png was not finished; a.png was, with its quarantine"


def test_an_unforeseen_error_concerns_its_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(1))

    def read(path: Path) -> object:
        if path.name == "a.png":
            raise MemoryError("no room")
        return read_image(path)

    monkeypatch.setattr("agent.sources.folder.source.read_image", read)
    source = FolderSource(tmp_path)
    assert names(read_all(source)) == ["b.png"]
    assert source.unreadable_count == 1


def test_a_name_with_a_line_break_forges_no_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a\nWARNING all is well.png").write_bytes(b"x")
    (tmp_path / "b.png").write_bytes(png(1))
    assert names(read_all(FolderSource(tmp_path))) == ["b.png"]
    assert all("\n" not in record.getMessage() for record in caplog.records)


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
    assert source.missed_count == 3
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "latest.png: overwritten before" in warnings[0].getMessage()


def test_numbers_in_names_are_ordered_by_value(tmp_path: Path) -> None:
    for name in ("part_10.png", "part_2.png", "part_1.png", "²2.png"):
        (tmp_path / name).write_bytes(png(1))
    assert names(read_all(FolderSource(tmp_path)))[:3] == ["part_1.png", "part_2.png", "part_10.png"]


@pytest.mark.parametrize("follow", [True, False])
def test_links_that_lead_nowhere_or_out_of_the_folder_are_rejected_alone(tmp_path: Path, follow: bool) -> None:
    folder, kept = tmp_path / "parts", tmp_path / "quarantine"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(png(9))
    (folder / "1.png").write_bytes(png(1))
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "inside.png").symlink_to("1.png")
    if follow:
        source = Scanner(*[nothing] * 6).follow(folder, quarantine_directory=kept)
        frames = follow_to_the_end(source)
    else:
        source = FolderSource(folder, quarantine_directory=kept)
        frames = read_all(source)
    assert names(frames) == ["1.png", "inside.png"]
    assert source.unreadable_count == 3, "each once, however often the folder is listed"
    reasons = [json.loads(line)["reason"] for line in (kept / "quarantine.jsonl").read_text().splitlines()]
    assert sum("leads nowhere" in reason for reason in reasons) == 2
    assert sum("leads out of the folder" in reason for reason in reasons) == 1
    assert [file.name for file in kept.iterdir()] == ["quarantine.jsonl"], "nothing is copied of them"


def test_quarantine_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "broken.png").write_bytes(b"no image")
    read_all(FolderSource(tmp_path / "parts", quarantine_directory=tmp_path / "kept"))
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    files = list((tmp_path / "kept").iterdir())
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_skipped_formats_are_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.gif", "b.gif", "scan", "1.png"):
        (tmp_path / name).write_bytes(png(1))
    assert names(read_all(FolderSource(tmp_path))) == ["1.png"]
    assert sorted(record.getMessage().split(": ")[1].split(" are")[0] for record in caplog.records) == [
        ".gif files",
        "files without a suffix",
    ]


def test_name_that_is_not_utf_8_can_be_sent(tmp_path: Path) -> None:
    """An alarm names its file, and its document is JSON."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/part-\xe4.png")).write_bytes(png(1))
    assert names(read_all(FolderSource(tmp_path))) == ["part-\ufffd.png"]
