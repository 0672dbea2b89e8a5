"""The capture thread opens and reads a source, reports its errors, and reopens it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.core.backoff import Backoff
from agent.core.crop import Crop
from agent.core.errors import Permanent, Temporary
from agent.core.records import FileVersion, Image
from agent.inspection.capture import CameraState, CameraStatus, Capture
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.preparation import Preparation
from agent.sources import Captured
from engines.bundles.manifest import Geometry
from tests.support.frames import noise_image
from tests.support.scripted_source import ScriptedSource


def run(
    source: ScriptedSource, prepare: Callable[[Image], tuple[Image, Image]] | None = None
) -> tuple[list[int], list[CameraStatus]]:
    """Capture until the thread ends. Returns the indices of the frames queued, and every status."""
    frame_queue = FrameQueue(depth=100)
    frame_queue.add_camera("line1", live=False)
    statuses: list[CameraStatus] = []
    capture = Capture(
        "line1",
        source,
        frame_queue,
        prepare or (lambda image: (image, image)),
        on_change=statuses.append,
        backoff=Backoff(1e-3, 1e-3),
    )
    capture.start()
    capture.join(10.0)
    assert not capture.is_alive()
    indices = []
    while batch := frame_queue.take(0.0):
        indices += [taken.frame.index for taken in batch]
    return indices, statuses


def test_a_frame_keeps_its_source_image_where_a_part_of_it_is_inspected() -> None:
    frame_queue, image = FrameQueue(), noise_image(0)
    frame_queue.add_camera("line1", live=False)
    prepare = Preparation(Geometry(height=8, width=8, channels=1), Crop(x=4, y=2, width=8, height=8))
    capture = Capture("line1", ScriptedSource([image]), frame_queue, prepare)
    capture.start()
    capture.join(10.0)
    (prepared,) = frame_queue.take(0.0)
    assert prepared.frame.source_image is image
    assert (prepared.frame.image == image[2:10, 4:12]).all()


def test_frames_are_queued_in_order_until_the_source_ends() -> None:
    source = ScriptedSource([noise_image(i) for i in range(5)])
    indices, statuses = run(source)
    assert indices == [0, 1, 2, 3, 4]
    assert [s.state for s in statuses] == [CameraState.DELIVERING, CameraState.ENDED]
    assert source.opened == source.closed == 1


def test_a_camera_that_fails_is_reopened_and_its_frames_counted_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    source = ScriptedSource(
        [noise_image(0), Temporary("no frame for 2 s"), noise_image(1)],
        opens=[None, Temporary("does not open"), Temporary("does not open"), None],
    )
    indices, statuses = run(source)
    assert indices == [0, 1]
    assert [s.state for s in statuses] == [
        CameraState.DELIVERING,
        CameraState.LOST,
        CameraState.LOST,
        CameraState.DELIVERING,
        CameraState.ENDED,
    ]
    assert statuses[1].reason == "no frame for 2 s"
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warnings == ["camera line1: no frame for 2 s; trying again"], "repeated failures are logged at DEBUG"
    assert source.opened == source.closed == 2


@pytest.mark.parametrize("where", ["open", "read", "prepare"])
def test_a_permanent_error_ends_capture_with_its_reason(where: str) -> None:
    def reject(image: Image) -> tuple[Image, Image]:
        raise Permanent("8 bit, the model wants 16")

    fault = Permanent("8 bit, the model wants 16")
    source = ScriptedSource([fault if where == "read" else noise_image(0)], opens=[fault] if where == "open" else [])
    indices, statuses = run(source, reject if where == "prepare" else None)
    assert indices == []
    assert statuses[-1] == CameraStatus(CameraState.FAILED, "8 bit, the model wants 16")


class Tray(ScriptedSource):
    """A source whose images are files."""

    uses_ledger = True

    def __init__(self, items: list[Image]) -> None:
        super().__init__(items)
        self.rejected: list[str] = []

    def _read(self) -> Captured:
        captured = super()._read()
        return replace(captured, file=FileVersion("a.png", 100, 1_700_000_000_000_000_000))

    def reject(self, captured: Captured, reason: str) -> None:
        self.rejected.append(reason)


def test_an_image_of_a_file_that_does_not_fit_is_left_to_the_source() -> None:
    source = Tray([noise_image(0), noise_image(1)[:4], noise_image(2)])
    indices, statuses = run(source, Preparation(Geometry(16, 16, 1), Crop(x=0, y=0, width=8, height=8)))
    assert indices == [0, 1]
    assert len(source.rejected) == 1
    assert "wanted within the image" in source.rejected[0]
    assert statuses[-1].state is CameraState.ENDED


def test_an_unforeseen_error_with_the_image_of_a_file_concerns_that_file() -> None:
    def prepare(image: Image) -> tuple[Image, Image]:
        if len(image) == 4:
            raise MemoryError("no room")
        return image, image

    source = Tray([noise_image(0), noise_image(1)[:4], noise_image(2)])
    indices, _ = run(source, prepare)
    assert indices == [0, 1]
    assert source.rejected == ["cannot be fitted to the model (MemoryError('no room'))"]


def test_a_live_camera_whose_image_fits_no_longer_is_reopened() -> None:
    source = ScriptedSource([noise_image(0), noise_image(1)[:4], noise_image(2)], opens=[None, None])
    source.live = True
    indices, statuses = run(source, Preparation(Geometry(16, 16, 1), Crop(x=0, y=0, width=8, height=8)))
    assert indices == [0, 1]
    assert [status.state for status in statuses][1] is CameraState.LOST


def test_a_frame_from_a_file_has_the_same_id_each_time() -> None:
    """Site and camera belong to it: two agents may read one share."""
    ids = []
    for site, camera in (("plant", "line1"), ("plant", "line1"), ("plant", "line2"), ("other", "line1")):
        frame_queue = FrameQueue()
        frame_queue.add_camera(camera, live=False)
        capture = Capture(camera, Tray([noise_image(0)]), frame_queue, lambda image: (image, image), site=site)
        capture.start()
        capture.join(10.0)
        ids.append(frame_queue.take(0.0)[0].frame.id)
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_stop_interrupts_the_wait_between_two_attempts() -> None:
    frame_queue = FrameQueue()
    frame_queue.add_camera("line1", live=True)
    lost = threading.Event()
    capture = Capture(
        "line1",
        ScriptedSource([], opens=[Temporary("no such device")] * 1000),
        frame_queue,
        lambda image: (image, image),
        on_change=lambda status: lost.set(),
        backoff=Backoff(3600.0, 3600.0),
    )
    capture.start()
    assert lost.wait(5.0)
    capture.stop()
    capture.join(5.0)
    assert not capture.is_alive()
