"""What every source must do, whatever camera is behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.sources import EndOfStream, FrameSource
from agent.sources.folder import FolderSource
from agent.sources.opencv.camera import CameraSource
from agent.sources.opencv.video import VideoSource
from agent.sources.simulator.schedule import SimulatedLine
from agent.sources.simulator.source import SimulatorSource
from tests.support.rtsp_camera import RtspCamera, missing

Build = Callable[[], FrameSource]

FRAMES = 6
LIVE = {
    "simulator-camera": True,
    "simulator-xray": True,
    "folder": False,
    "folder-followed": False,
    "video": False,
    "rtsp": True,
}


def pictures(folder: Path) -> Path:
    """A folder of gray, colour and 16-bit pictures."""
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        shape = (32, 40, 3) if index % 3 == 1 else (32, 40)
        dtype = np.uint16 if index % 3 == 2 else np.uint8
        cv2.imwrite(str(folder / f"{index}.png"), rng.integers(0, np.iinfo(dtype).max, shape, dtype))
    return folder


def film(folder: Path) -> Path:
    """A short film."""
    path = folder / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (40, 32))
    for index in range(FRAMES):
        writer.write(np.full((32, 40, 3), 20 * index, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def rtsp() -> Iterator[RtspCamera]:
    if missing() is not None:
        pytest.skip(missing() or "")
    with RtspCamera() as camera:
        yield camera


@pytest.fixture(params=LIVE)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def build(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Build:
    """Makes one source of each kind after the other, each on the same things."""
    if kind.startswith("simulator"):
        line = SimulatedLine(kind.removeprefix("simulator-"), size=64)
        return lambda: SimulatorSource(line, frames_per_second=200.0)
    if kind.startswith("folder"):
        folder = pictures(tmp_path)
        return lambda: FolderSource(folder, follow=kind == "folder-followed", settle_seconds=0.0)
    if kind == "video":
        path = film(tmp_path)
        return lambda: VideoSource(path)
    camera: RtspCamera = request.getfixturevalue("rtsp")
    return lambda: CameraSource(camera.url())


@pytest.fixture
def source(build: Build) -> Iterator[FrameSource]:
    source = build()
    yield source
    source.close()


def test_live_says_whether_frames_may_be_dropped(source: FrameSource, kind: str) -> None:
    assert source.live is LIVE[kind]


def test_images_are_gray_or_bgr_of_eight_or_sixteen_bits(source: FrameSource) -> None:
    source.open()
    for _ in range(FRAMES):
        image = source.read().image
        assert image.ndim == 3
        assert image.shape[2] in (1, 3)
        assert image.dtype in (np.uint8, np.uint16)
        assert image.flags.c_contiguous


def test_times_never_go_back_and_are_utc(source: FrameSource) -> None:
    source.open()
    before = datetime.now(timezone.utc)
    frames = [source.read() for _ in range(FRAMES)]
    monotonic = [frame.captured_monotonic for frame in frames]
    assert monotonic == sorted(monotonic)
    for frame in frames:
        assert frame.captured_at.utcoffset() == timedelta(0)
        assert abs(frame.captured_at - before) < timedelta(seconds=30)


def test_origin_is_the_file_and_none_for_live_cameras(source: FrameSource) -> None:
    source.open()
    assert (source.read().origin is None) is source.live


def test_frames_keep_their_pixels_while_the_source_goes_on(source: FrameSource) -> None:
    """The receiver owns the buffer: a queue holds several frames while the next ones come."""
    source.open()
    frames = [source.read().image for _ in range(3)]
    copies = [frame.copy() for frame in frames]
    for _ in range(FRAMES - 3):
        source.read()
    source.close()
    assert all(np.array_equal(frame, copy) for frame, copy in zip(frames, copies, strict=True))
    assert not np.shares_memory(frames[0], frames[1])


def test_source_that_loses_nothing_ends_after_its_last_frame(source: FrameSource, kind: str) -> None:
    if source.live or kind == "folder-followed":
        pytest.skip("has no end")
    source.open()
    for _ in range(FRAMES):
        source.read()
    for _ in range(2):
        with pytest.raises(EndOfStream):
            source.read()


def test_read_before_open_and_after_close_raises(source: FrameSource) -> None:
    with pytest.raises(Permanent, match="is not open"):
        source.read()
    source.open()
    source.read()
    source.close()
    with pytest.raises(Permanent, match="is not open"):
        source.read()


def test_close_may_be_called_twice_and_before_open(source: FrameSource) -> None:
    source.close()
    source.open()
    source.close()
    source.close()


def test_open_twice_is_open_once(source: FrameSource) -> None:
    source.open()
    first = source.read()
    source.open()
    second = source.read()
    assert second.captured_monotonic >= first.captured_monotonic
    assert first.origin is None or second.origin != first.origin or "film" in first.origin


def test_source_may_be_opened_again(source: FrameSource, kind: str) -> None:
    source.open()
    source.read()
    source.close()
    source.open()
    assert source.read().image.size > 0


def test_context_manager_opens_and_closes(source: FrameSource) -> None:
    with source as opened:
        assert opened is source
        opened.read()
    with pytest.raises(Permanent):
        source.read()


def test_description_is_one_line_for_a_person(source: FrameSource) -> None:
    assert 0 < len(source.describe()) < 300
    assert "\n" not in source.describe()


def test_two_sources_do_not_disturb_each_other(build: Build) -> None:
    with build() as first, build() as second:
        assert first.read().image.shape == second.read().image.shape
        second.close()
        first.read()
