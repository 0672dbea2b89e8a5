"""The simulator as a camera: its pace, its faults, and no truth in its frames."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from agent.core.errors import Temporary
from agent.sources.simulator.faults import Fault, FaultKind
from agent.sources.simulator.schedule import SimulatedLine
from agent.sources.simulator.source import SimulatorSource
from agent.sources.source import Captured, EndOfStream


class FakeTime:
    """A clock that advances only in `sleep`."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        assert seconds > 0.0
        self.seconds += seconds


def source(mode: str = "camera", *, time: FakeTime, **options: object) -> SimulatorSource:
    line = SimulatedLine(mode, seed=1, size=128, defect_rate=0.0)
    return SimulatorSource(line, clock=time.clock, sleep=time.sleep, **options)  # type: ignore[arg-type]


def test_frames_have_their_pace() -> None:
    time = FakeTime()
    with source(time=time, frames_per_second=20.0) as camera:
        times = [camera.read().captured_monotonic for _ in range(10)]
    assert np.diff(times) == pytest.approx(0.05)


def test_frames_without_a_pace_are_given_at_once() -> None:
    time = FakeTime()
    with source(time=time, frames_per_second=None) as camera:
        assert not camera.live
        assert {camera.read().captured_monotonic for _ in range(10)} == {100.0}


def test_reader_that_falls_behind_gets_no_burst() -> None:
    time = FakeTime()
    with source(time=time, frames_per_second=10.0) as camera:
        camera.read()
        time.seconds += 5.0
        times = [camera.read().captured_monotonic for _ in range(3)]
    assert times == pytest.approx([105.0, 105.1, 105.2])


def test_line_continues_when_the_camera_is_opened_again() -> None:
    time = FakeTime()
    camera = source(time=time)
    line = SimulatedLine("camera", seed=1, size=128, defect_rate=0.0)
    for index in range(6):
        with camera:
            assert np.array_equal(camera.read().image, line.image(index))


def test_stream_ends_after_its_frames() -> None:
    time = FakeTime()
    with source(time=time, frame_count=3) as camera:
        for _ in range(3):
            camera.read()
        with pytest.raises(EndOfStream):
            camera.read()


def test_captured_carries_no_truth() -> None:
    """Scoring gets pixels, times, the file and what was lost before, and no reference to the line."""
    assert {field.name for field in fields(Captured)} == {
        "image",
        "captured_at",
        "captured_monotonic",
        "triggered_monotonic",
        "lost_before",
        "origin",
        "file",
    }
    with source(time=FakeTime()) as camera:
        captured = camera.read()
    assert captured.origin is None
    assert type(captured.image) is np.ndarray
    assert captured.image.base is None or type(captured.image.base) is np.ndarray


def faulty(kind: str, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """A frame before a fault and one during it, as float."""
    with source(mode, time=FakeTime(), faults=[Fault(FaultKind(kind), 1.0, start_frame=3)]) as camera:
        frames = [camera.read().image.astype(np.float64) for _ in range(6)]
    return frames[2], frames[4]


@pytest.mark.parametrize("mode", ["camera", "xray"])
def test_black_camera_gives_only_noise(mode: str) -> None:
    good, bad = faulty("black", mode)
    assert bad.mean() < 0.2 * good.mean()
    assert 0.0 < bad.std() < 0.1 * good.std()


@pytest.mark.parametrize(("mode", "full"), [("camera", 255.0), ("xray", 65_535.0)])
def test_saturated_camera_clips(mode: str, full: float) -> None:
    good, bad = faulty("saturated", mode)
    assert (good == full).mean() < 0.01
    assert (bad == full).mean() > 0.3


@pytest.mark.parametrize("mode", ["camera", "xray"])
def test_defocused_camera_loses_edges_and_keeps_brightness(mode: str) -> None:
    good, bad = faulty("defocused", mode)
    assert np.abs(np.diff(bad, axis=1)).max() < 0.5 * np.abs(np.diff(good, axis=1)).max()
    assert bad.mean() == pytest.approx(good.mean(), rel=0.02)


@pytest.mark.parametrize("mode", ["camera", "xray"])
def test_shifted_camera_gives_a_shifted_image(mode: str) -> None:
    good, bad = faulty("shifted", mode)
    back = np.roll(bad, -16, axis=1)
    assert np.abs(back - good).mean() < 0.3 * np.abs(bad - good).mean()


@pytest.mark.parametrize("mode", ["camera", "xray"])
def test_frozen_camera_repeats_a_frame_bit_for_bit(mode: str) -> None:
    time = FakeTime()
    with source(mode, time=time, faults=[Fault(FaultKind.FROZEN, 0.25, start_seconds=0.125)]) as camera:
        frames = [camera.read().image for _ in range(12)]
    same = [np.array_equal(first, second) for first, second in pairwise(frames)]
    # Frames 3 to 7 are between 0.125 and 0.375 s at 20 frames/s; they repeat frame 2.
    assert same == [False, False, True, True, True, True, True, False, False, False, False]


def test_lost_camera_neither_reads_nor_opens_until_it_returns() -> None:
    time = FakeTime()
    camera = source(time=time, faults=[Fault(FaultKind.LOST, 2.0, start_frame=2)])
    line = SimulatedLine("camera", seed=1, size=128, defect_rate=0.0)
    camera.open()
    camera.read()
    camera.read()
    with pytest.raises(Temporary, match="gives no frames"):
        camera.read()
    camera.close()
    with pytest.raises(Temporary, match="does not open"):
        camera.open()
    time.seconds += 2.0
    with camera:
        assert np.array_equal(camera.read().image, line.image(2))


def test_fault_without_a_start_is_rejected() -> None:
    with pytest.raises(ValueError, match="exactly one of start_seconds and start_frame"):
        Fault(FaultKind.BLACK, 1.0)
    with pytest.raises(ValueError, match="'upside_down' is not a valid"):
        Fault("upside_down", 1.0, start_frame=0)  # type: ignore[arg-type]


def test_pace_of_zero_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"frames_per_second is 0\.0, wanted more than 0"):
        source(time=FakeTime(), frames_per_second=0.0)
