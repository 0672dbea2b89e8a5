"""The embedded default camera: a simulated production line, paced like a real one.

What the frames show is in `simulation.line`, a function of seed, mode and index alone; nothing of it travels with a frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

import numpy as np

from agent.errors import Temporary
from agent.records import Image
from agent.sources.simulation.faults import Fault, FaultKind, Timetable, spoil
from agent.sources.simulation.line import Line
from agent.sources.source import Captured, EndOfStream, FrameSource

# A reader that falls behind by more than this gets no burst of late frames afterwards: a camera would have dropped them.
MAX_BACKLOG_SECONDS = 0.5


def utc_now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(timezone.utc)


class SimulatorSource(FrameSource):
    """Frames of a simulated line.

    line: what passes under the camera.
    frames_per_second: pace of the camera; None gives frames as fast as they are asked for, and then loses none.
    frame_count: end of the stream after so many frames; None goes on for ever.
    faults: when the camera fails, and how.

    Frame n of the stream shows `line.truth(n)`, counted over every open and close: the line does not start anew because
    the camera was opened again. While the camera is lost no frame is counted.
    """

    def __init__(
        self,
        line: Line,
        *,
        frames_per_second: float | None = 20.0,
        frame_count: int | None = None,
        faults: Sequence[Fault] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        if frames_per_second is not None and frames_per_second <= 0.0:
            raise ValueError(f"frames_per_second is {frames_per_second}, wanted more than 0, or none at all")
        self.live = frames_per_second is not None
        self.line = line
        self._interval_seconds = None if frames_per_second is None else 1.0 / frames_per_second
        self._frame_count = frame_count
        self._timetable = Timetable(faults)
        self._clock, self._sleep, self._now = clock, sleep, now
        self._index = 0
        self._first_at: float | None = None
        self._due_at: float | None = None
        self._last_image: Image | None = None

    def describe(self) -> str:
        """Name the source."""
        return f"simulator ({self.line.mode}, seed {self.line.seed})"

    def _open(self) -> None:
        self._due_at = None
        if self._fault() is FaultKind.LOST:
            raise Temporary(f"{self.describe()} does not open: simulated loss of the camera")

    def _read(self) -> Captured:
        if self._frame_count is not None and self._index >= self._frame_count:
            raise EndOfStream
        self._wait()
        fault = self._fault()
        if fault is FaultKind.LOST:
            raise Temporary(f"{self.describe()} gives no frames: simulated loss of the camera")
        captured_at, captured_monotonic = self._now(), self._clock()
        image = self._image(fault)
        self._index += 1
        return Captured(image, captured_at, captured_monotonic)

    def _close(self) -> None:
        self._due_at = None

    def _image(self, fault: FaultKind | None) -> Image:
        if fault is FaultKind.FROZEN and self._last_image is not None:
            return self._last_image.copy()
        image = self.line.image(self._index)
        if fault is not None:
            image = spoil(image, fault, np.random.default_rng((self.line.seed, self._index)))
        self._last_image = image
        return image.copy() if fault is FaultKind.FROZEN else image

    def _fault(self) -> FaultKind | None:
        if self._first_at is None:
            return self._timetable.fault(self._index, 0.0)
        return self._timetable.fault(self._index, self._clock() - self._first_at)

    def _wait(self) -> None:
        """Sleep until the next frame is due."""
        now = self._clock()
        if self._interval_seconds is not None:
            if self._due_at is None or now - self._due_at > MAX_BACKLOG_SECONDS:
                self._due_at = now
            if self._due_at > now:
                self._sleep(self._due_at - now)
            self._due_at += self._interval_seconds
        if self._first_at is None:
            self._first_at = self._clock()
