"""The contract of every source: each row of the table of sources, built from settings as the agent builds it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.sources import EndOfStream, FrameSource, Ledger, build_source
from agent.sources.factory import SOURCES, parse_source
from tests.support.broker import free_port
from tests.support.dicom import UID_ROOT, write_image
from tests.support.genicam_cameras import VIKY_NAMES, ArvCamera, arv_camera, viky_producer
from tests.support.rtsp_camera import RtspCamera, missing

Build = Callable[[], FrameSource]

FRAMES = 6

CHANGED = datetime(2001, 9, 9, 1, 46, 40, tzinfo=timezone.utc)
"""When the image files were written."""


def image_folder(directory: Path) -> dict[str, Any]:
    """A folder of gray, colour and 16-bit images, old enough to be complete."""
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        shape = (32, 40, 3) if index % 3 == 1 else (32, 40)
        dtype = np.uint16 if index % 3 == 2 else np.uint8
        file = directory / f"{index}.png"
        cv2.imwrite(str(file), rng.integers(0, np.iinfo(dtype).max, shape, dtype))
        os.utime(file, (CHANGED.timestamp(),) * 2)
    return {"path": directory}


def video_file(directory: Path) -> dict[str, Any]:
    """A video of gray levels that rise by 20."""
    path = directory / "line.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (40, 32))
    for index in range(FRAMES):
        writer.write(np.full((32, 40, 3), 20 * index, np.uint8))
    writer.release()
    return {"path": path}


def received_images(directory: Path) -> dict[str, Any]:
    """Images that wait in the inbox of a receiver, as one that was stopped leaves them."""
    pytest.importorskip("pynetdicom", reason="the receiver needs the dicom extra")
    inbox = directory / "inbox"
    inbox.mkdir()
    for number in range(1, 2 * FRAMES):
        os.utime(write_image(inbox / f"{UID_ROOT}.{number}.dcm", number=number), (CHANGED.timestamp(),) * 2)
    return {"port": free_port()}


def viky(directory: Path) -> dict[str, Any]:
    """The simulated cameras of a GenTL producer."""
    return {"producer": viky_producer()}


class Case(NamedTuple):
    """Settings that the suite is run with."""

    kind: str
    settings: Mapping[str, Any] = MappingProxyType({})
    """All but `kind`."""
    prepare: Callable[[Path], dict[str, Any]] = lambda directory: {}
    """Makes what the source reads, and returns more settings that name it."""
    live: bool | None = None
    """None: the suite takes the source's word for it."""
    frames: int | None = None
    """The stream ends after so many; None: the suite does not look for its end."""
    exclusive: bool = False
    """One program at a time can open it."""


# A kind of source whose settings all have defaults needs no entry here.
CASES = {
    "simulator-camera": Case("simulator", {"mode": "camera", "frames_per_second": 200.0}, live=True),
    "simulator-xray": Case("simulator", {"mode": "xray", "frames_per_second": 200.0}, live=True),
    "folder": Case("folder", {}, image_folder, live=False, frames=FRAMES),
    "folder-followed": Case("folder", {"follow": True}, image_folder, live=False),
    "dicom": Case("dicom", {}, received_images, live=False, exclusive=True),
    "video": Case("video", {}, video_file, live=False, frames=FRAMES),
    "camera": Case("camera", live=True),
    "camera-gstreamer": Case("camera", {"decoder": "gstreamer"}, live=True),
    "genicam": Case("genicam", {"camera": ArvCamera.address, "read_timeout_seconds": 10.0}, live=True, exclusive=True),
    "genicam-producer": Case("genicam", {"camera": VIKY_NAMES[0]}, viky, live=True, exclusive=True),
}
CASES |= {kind: Case(kind) for kind in SOURCES.keys() - {case.kind for case in CASES.values()}}


@pytest.fixture(scope="module")
def rtsp() -> Iterator[RtspCamera]:
    if missing() is not None:
        pytest.skip(missing() or "")
    with RtspCamera() as camera:
        yield camera


@pytest.fixture(scope="module")
def genicam() -> Iterator[ArvCamera]:
    with arv_camera() as camera:
        yield camera


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def build(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> Build:
    """Builds one source after the other, all from the same settings."""
    values = {"kind": case.kind, **case.settings, **case.prepare(tmp_path)}
    if case.kind == "camera":
        values["url"] = request.getfixturevalue("rtsp").url()
    if case.kind == "genicam" and "producer" not in values:
        request.getfixturevalue("genicam")
    return lambda: build_source(parse_source(values), quarantine_directory=tmp_path / "quarantine")


@pytest.fixture
def source(build: Build) -> Iterator[FrameSource]:
    source = build()
    yield source
    source.close()


@pytest.mark.parametrize("kind", SOURCES)
def test_row_and_section_agree_on_the_kind(kind: str) -> None:
    assert SOURCES[kind].section.model_json_schema()["properties"]["kind"]["const"] == kind


def test_source_says_whether_frames_may_be_dropped(source: FrameSource, case: Case) -> None:
    assert source.live in ((True, False) if case.live is None else (case.live,))


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
        assert abs(frame.captured_at - (CHANGED if source.uses_ledger else before)) < timedelta(seconds=30)


def test_origin_and_file_name_the_file_and_are_none_for_live_cameras(source: FrameSource) -> None:
    source.open()
    captured = source.read()
    assert (captured.origin is None) is source.live
    if captured.file is not None:
        assert captured.origin == captured.file.name.removesuffix(".dcm")


def test_frames_of_files_are_distinguished_and_recognised_when_read_again(build: Build) -> None:
    """A frame that is read again, by this source or after a restart, has the same version."""
    with build() as source:
        first = [source.read().file for _ in range(3)]
    with build() as source:
        second = [source.read().file for _ in range(3)]
    if first[0] is not None:
        assert len(set(first)) == 3
        assert second == first


def test_files_of_the_ledger_are_not_read_again(source: FrameSource, build: Build, tmp_path: Path) -> None:
    if not source.uses_ledger:
        pytest.skip("uses no ledger")
    path = tmp_path / "state" / "ledger.sqlite"
    source = build()
    source.use_ledger(Ledger(path))
    with source:
        finished = [file for _ in range(3) if (file := source.read().file) is not None]
    Ledger(path).add(finished)
    source = build()
    source.use_ledger(Ledger(path))
    with source:
        assert source.read().file not in finished


def test_frames_keep_their_pixels_while_the_source_goes_on(source: FrameSource) -> None:
    """The receiver owns the buffer: a queue holds several frames while the source reads the next ones."""
    source.open()
    frames = [source.read().image for _ in range(3)]
    copies = [frame.copy() for frame in frames]
    for _ in range(FRAMES - 3):
        source.read()
    source.close()
    assert all(np.array_equal(frame, copy) for frame, copy in zip(frames, copies, strict=True))
    assert not np.shares_memory(frames[0], frames[1])


def test_source_with_an_end_ends_after_its_last_frame(source: FrameSource, case: Case) -> None:
    if case.frames is None:
        pytest.skip("has no end")
    source.open()
    for _ in range(case.frames):
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


def test_close_may_be_called_before_open_and_twice(source: FrameSource) -> None:
    source.close()
    source.open()
    source.close()
    source.close()
    with pytest.raises(Permanent, match="is not open"):
        source.read()


def test_second_open_does_not_start_over(source: FrameSource) -> None:
    source.open()
    first = source.read()
    source.open()
    second = source.read()
    assert second.captured_monotonic >= first.captured_monotonic
    assert first.origin is None or not np.array_equal(first.image, second.image)


def test_source_may_be_opened_again(source: FrameSource) -> None:
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


def test_two_sources_do_not_disturb_each_other(build: Build, case: Case) -> None:
    if case.exclusive:
        pytest.skip("one program at a time can open it")
    with build() as first, build() as second:
        assert first.read().image.shape == second.read().image.shape
        second.close()
        first.read()
