"""The mean of several frames has less noise, and never mixes what two triggers show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from agent.sources.averaging import AveragingSource
from agent.sources.factory import parse_source
from agent.sources.source import Captured, EndOfStream, FrameSource

START = datetime(2026, 11, 29, tzinfo=timezone.utc)


class Frames(FrameSource):
    """Frames as they are given: (value or image, trigger, frames lost before)."""

    live = True
    triggered = True

    def __init__(self, frames: Sequence[tuple[object, float | None, int]]) -> None:
        super().__init__()
        self._frames, self._next = frames, 0
        self.asked = 0

    def describe(self) -> str:
        return "frames"

    def trigger(self, monotonic_seconds: float, frames: int = 1) -> None:
        self.asked += frames

    def _open(self) -> None:
        pass

    def _close(self) -> None:
        pass

    def _read(self) -> Captured:
        if self._next == len(self._frames):
            raise EndOfStream
        shown, trigger, lost = self._frames[self._next]
        self._next += 1
        image = shown if isinstance(shown, np.ndarray) else np.full((4, 4, 1), shown, np.uint16)
        captured_at = START + timedelta(seconds=self._next)
        return Captured(image, captured_at, float(self._next), triggered_monotonic=trigger, lost_before=lost)


def means(frames: Sequence[tuple[object, float | None, int]], count: int) -> list[Captured]:
    found = []
    with AveragingSource(Frames(frames), count) as source:
        try:
            while True:
                found.append(source.read())
        except EndOfStream:
            return found


@pytest.mark.parametrize("count", [4, 16])
def test_noise_falls_by_the_square_root(count: int) -> None:
    """Of simulated images with a noise of 100; the rest is what rounding adds."""
    random = np.random.default_rng(0)
    noisy = [(random.normal(20_000, 100, (200, 200, 1)).round().astype(np.uint16), None, 0) for _ in range(2 * count)]
    first, second = (each.image.astype(float) for each in means(noisy, count))
    measured = (first - second).std() / np.sqrt(2)
    assert measured == pytest.approx(100 / np.sqrt(count), rel=0.02)
    assert first.mean() == pytest.approx(20_000, abs=1.0)


def test_mean_is_rounded_and_has_the_time_of_its_first_frame() -> None:
    found = means([(value, None, 0) for value in (1, 2, 2, 65535, 65535, 65535)], 3)
    assert [int(each.image[0, 0, 0]) for each in found] == [2, 65535]
    assert [each.captured_at for each in found] == [START + timedelta(seconds=second) for second in (1, 4)]
    assert found[0].image.dtype == np.uint16


def test_frames_of_two_triggers_are_never_mixed() -> None:
    """Of the first part one frame came; the next one is complete."""
    found = means([(10, 1.0, 0), (20, 2.0, 0), (22, 2.0, 0), (30, 3.0, 0), (32, 3.0, 0)], 2)
    assert [(int(each.image[0, 0, 0]), each.triggered_monotonic) for each in found] == [(21, 2.0), (31, 3.0)]
    assert [each.lost_before for each in found] == [1, 0]


@pytest.mark.parametrize("missing", range(8))
def test_lost_frame_costs_its_mean_only(missing: int) -> None:
    """A line trigger gives four frames for each part: the next part has its own."""
    values = [10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30]
    frames = [(value, None, int(index == missing + 1)) for index, value in enumerate(values) if index != missing]
    found = means(frames, 4)
    assert [int(each.image[0, 0, 0]) for each in found] == ([20, 30] if missing < 4 else [10, 30])
    assert [each.lost_before for each in found] == ([1, 0] if missing < 4 else [0, 1])


def test_frames_of_another_size_begin_a_new_mean() -> None:
    small, large = np.zeros((4, 4, 1), np.uint16), np.ones((8, 8, 1), np.uint16)
    found = means([(small, None, 0), (large, None, 0), (large, None, 0)], 2)
    assert [each.image.shape for each in found] == [(8, 8, 1)]


def test_software_trigger_asks_for_all_frames_of_a_part() -> None:
    frames = Frames([])
    AveragingSource(frames, 4).trigger(1.0, 2)
    assert frames.asked == 8


def test_setting_is_that_of_live_sources() -> None:
    assert parse_source({"kind": "genicam", "camera": "192.0.2.1", "average": 4}).model_dump()["average"] == 4
    for values in ({"kind": "folder", "path": "x", "average": 4}, {"kind": "camera", "device": 0, "average": 0}):
        with pytest.raises(ValueError, match="average"):
            parse_source(values)
