"""Video files: every frame in order, and a one-line error for other files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.sources.opencv.video import VideoSource
from agent.sources.source import Captured, EndOfStream

FRAMES = 24


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Motion JPEG; frame n has the gray level 10 n, and grain, so that frames do not compress to nothing."""
    path = tmp_path_factory.mktemp("video") / "line.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    grain = np.random.default_rng(0).integers(0, 10, (48, 64, 3), np.uint8)
    for index in range(FRAMES):
        writer.write(10 * index + grain)
    writer.release()
    return path


def read_all(source: VideoSource) -> list[Captured]:
    frames = []
    while True:
        try:
            frames.append(source.read())
        except EndOfStream:
            return frames


def test_every_frame_is_read_in_order(video: Path) -> None:
    with VideoSource(video) as source:
        frames = read_all(source)
    assert [int(frame.image.mean() / 10.0) for frame in frames] == list(range(FRAMES))
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert {frame.origin for frame in frames} == {"line.avi"}


def test_read_after_the_end_raises_again(video: Path) -> None:
    with VideoSource(video) as source:
        read_all(source)
        with pytest.raises(EndOfStream):
            source.read()


def test_video_opened_again_starts_from_its_first_frame(video: Path) -> None:
    source = VideoSource(video)
    with source:
        for _ in range(5):
            source.read()
    with source:
        assert len(read_all(source)) == FRAMES


def test_frames_have_the_pace_of_the_settings(video: Path) -> None:
    waits: list[float] = []
    with VideoSource(video, frames_per_second=10.0, clock=lambda: 10.0 + sum(waits), sleep=waits.append) as source:
        times = [source.read().captured_monotonic for _ in range(5)]
    assert np.diff(times) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is not a file"),
        (lambda path: path.write_bytes(b""), "cannot be opened: not a video, or damaged"),
        (lambda path: path.write_text("one two three\n" * 200), "cannot be opened: not a video, or damaged"),
    ],
)
def test_file_that_is_not_a_video_is_a_one_line_error(
    tmp_path: Path, make: Callable[[Path], object], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "line.avi"
    make(path)
    with pytest.raises(Permanent, match=message) as error:
        VideoSource(path).open()
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_video_that_ends_early_gives_its_frames_and_is_logged(
    video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.avi"
    content = video.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    with VideoSource(broken) as source, caplog.at_level(logging.WARNING):
        count = len(read_all(source))
    assert 0 < count < FRAMES
    assert f"{count} frames of {FRAMES} could be read" in caplog.text


def test_video_without_frames_is_a_one_line_error(video: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.avi"
    content = video.read_bytes()
    empty.write_bytes(content[: content.index(b"movi") + 4])
    source = VideoSource(empty)
    with pytest.raises(Permanent, match=r"has no readable frame|cannot be opened"), source:
        source.read()
