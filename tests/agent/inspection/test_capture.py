"""The capture thread opens and reads a source, reports its errors, and reopens it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import astuple, replace

import numpy as np
import pytest

from agent.core.backoff import Backoff
from agent.core.crop import Crop
from agent.core.errors import Permanent, Temporary
from agent.core.records import FileVersion, Image
from agent.inspection.capture import CameraState, CameraStatus, Capture
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.preparation import Preparation, PreparedImage
from agent.sources import Captured, EndOfStream, FrameSource
from calibration import glance
from engines.bundles.manifest import Geometry, View
from engines.bundles.mask import Mask
from tests.support.clocks import FakeClock
from tests.support.frames import START, noise_image
from tests.support.scripted_source import ScriptedSource


def run(
    source: ScriptedSource, prepare: Callable[[Image], PreparedImage] | None = None
) -> tuple[list[int], list[CameraStatus]]:
    """Capture until the thread ends. Returns the indices of the frames queued, and every status."""
    frame_queue = FrameQueue(depth=100)
    frame_queue.add_camera("line1", newest_only=False)
    statuses: list[CameraStatus] = []
    capture = Capture(
        "line1",
        source,
        frame_queue,
        prepare or (lambda image: PreparedImage(image, image)),
        on_change=statuses.append,
        backoff=Backoff(1e-3, 1e-3),
    )
    capture.start()
    capture.join(60)
    assert not capture.is_alive()
    indices = []
    while batch := frame_queue.take(0.0):
        indices += [taken.frame.index for taken in batch]
    return indices, statuses


def test_a_frame_keeps_its_source_image_where_a_part_of_it_is_inspected() -> None:
    frame_queue, image = FrameQueue(), noise_image(0)
    frame_queue.add_camera("line1", newest_only=False)
    prepare = Preparation(Geometry(height=8, width=8, channels=1), Crop(x=4, y=2, width=8, height=8))
    capture = Capture("line1", ScriptedSource([image]), frame_queue, prepare)
    capture.start()
    capture.join(60)
    (prepared,) = frame_queue.take(0.0)
    assert prepared.frame.source_image is image
    assert (prepared.frame.image == image[2:10, 4:12]).all()


def test_a_camera_is_judged_by_its_image_and_not_by_the_padding() -> None:
    """A black image in a frame with gray padding is black."""
    frame_queue, view = FrameQueue(), View(lowest_aspect=1.0, highest_aspect=1.0, padding=128)
    frame_queue.add_camera("line1", newest_only=False)
    prepare = Preparation(Geometry(height=32, width=32, channels=1), view=view)
    black = np.zeros((20, 80, 1), np.uint8)
    capture = Capture("line1", ScriptedSource([black]), frame_queue, prepare)
    capture.start()
    capture.join(60)
    (prepared,) = frame_queue.take(0.0)
    assert (prepared.pixels == 128).mean() == 0.75
    assert prepared.frame.content is not None
    assert prepared.glance.level == glance(np.zeros((32, 32, 1), np.uint8)).level == 0.0


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
    def prepare(image: Image) -> PreparedImage:
        if len(image) == 4:
            raise MemoryError("no room")
        return PreparedImage(image, image)

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
        frame_queue.add_camera(camera, newest_only=False)
        capture = Capture(
            camera, Tray([noise_image(0)]), frame_queue, lambda image: PreparedImage(image, image), site=site
        )
        capture.start()
        capture.join(60)
        ids.append(frame_queue.take(0.0)[0].frame.id)
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_stop_interrupts_the_wait_between_two_attempts() -> None:
    frame_queue = FrameQueue()
    frame_queue.add_camera("line1", newest_only=True)
    lost = threading.Event()
    capture = Capture(
        "line1",
        ScriptedSource([], opens=[Temporary("no such device")] * 1000),
        frame_queue,
        lambda image: PreparedImage(image, image),
        on_change=lambda status: lost.set(),
        backoff=Backoff(3600.0, 3600.0),
    )
    capture.start()
    assert lost.wait(60)
    capture.stop()
    capture.join(60)
    assert not capture.is_alive()


class Flapping(FrameSource):
    """A stream that ends after some seconds, `sessions` times, and then gives `last` seconds more."""

    live = True

    def __init__(self, clock: FakeClock, sessions: int, seconds: float, last: float) -> None:
        super().__init__()
        self._clock, self._left, self._seconds, self._last = clock, sessions, seconds, last
        self._ends = 0.0

    def describe(self) -> str:
        return "camera rtsp://camera/line"

    def _open(self) -> None:
        self._clock.sleep(0.2)
        self._ends = self._clock.monotonic() + (self._seconds if self._left else self._last)

    def _read(self) -> Captured:
        self._clock.sleep(0.1)
        if self._clock.monotonic() >= self._ends:
            if not self._left:
                raise EndOfStream
            self._left -= 1
            raise Temporary("camera rtsp://camera/line stopped giving frames")
        return Captured(noise_image(0), START, self._clock.monotonic())

    def _close(self) -> None:
        """Nothing to close."""


class SteppedBackoff(Backoff):
    """Records its waits, and lets them pass on the test's clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(0.25, 1.0, random.Random(0))
        self._clock = clock
        self.waits: list[float] = []

    def next_seconds(self) -> float:
        self.waits.append(super().next_seconds())
        self._clock.sleep(self.waits[-1])
        return 0.0


def flap(sessions: int, seconds: float, last: float, caplog: pytest.LogCaptureFixture) -> tuple[list[float], list[str]]:
    """The waits between the sessions, and the log lines from INFO up."""
    caplog.set_level("INFO")
    clock, frame_queue = FakeClock(), FrameQueue(depth=100)
    frame_queue.add_camera("line1", newest_only=True)
    backoff = SteppedBackoff(clock)
    source = Flapping(clock, sessions, seconds, last)
    capture = Capture(
        "line1", source, frame_queue, lambda image: PreparedImage(image, image), backoff=backoff, clock=clock.monotonic
    )
    capture.start()
    capture.join(60.0)
    assert not capture.is_alive()
    return backoff.waits, [record.getMessage() for record in caplog.records if record.name.endswith("capture")]


def test_a_stream_that_ends_every_half_second_is_summed_up_and_opened_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits, lines = flap(sessions=60, seconds=0.5, last=6.0, caplog=caplog)
    assert all(wait >= 0.5 for wait in waits[2:]), "frames alone do not shorten the waits"
    assert lines[:3] == [
        "camera line1: delivering",
        "camera line1: camera rtsp://camera/line stopped giving frames; trying again",
        "camera line1: delivering",
    ]
    assert len(lines) < 10
    assert any("more times in 6" in line and "stopped giving frames" in line for line in lines)
    assert sum("delivering, after 60 interruptions" in line for line in lines) == 1


def test_each_interruption_of_connections_that_last_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    waits, lines = flap(sessions=3, seconds=10.0, last=1.0, caplog=caplog)
    assert all(wait <= 0.25 for wait in waits)
    assert sum("trying again" in line for line in lines) == 3
    assert lines.count("camera line1: delivering") == 4


def test_a_camera_is_judged_by_what_is_inspected_and_not_by_the_fill_of_its_mask() -> None:
    """A black image is black, however much of it is masked; what moves under the mask changes nothing."""
    inspected = np.zeros((32, 32), np.bool_)
    inspected[:, 24:] = True
    view = View(lowest_aspect=1.0, highest_aspect=1.0, mask=Mask.of(inspected), fill=(128,))
    prepare = Preparation(Geometry(height=32, width=32, channels=1), view=view)
    black, moving = np.zeros((32, 32, 1), np.uint8), np.zeros((32, 32, 1), np.uint8)
    moving[5:9, 5:9] = 200
    frame_queue = FrameQueue(depth=4)
    frame_queue.add_camera("line1", newest_only=False)
    source = ScriptedSource([black, moving])
    capture = Capture("line1", source, frame_queue, prepare)
    capture.start()
    capture.join(60)
    first, second = (frame_queue.take(0.0)[0] for _ in range(2))
    assert (first.pixels == 128).mean() == 0.75
    assert first.glance.level == 0.0
    for one, other in zip(astuple(first.glance), astuple(second.glance), strict=True):
        np.testing.assert_array_equal(one, other)
