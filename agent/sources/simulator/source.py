"""The built-in default source: a simulated production line at the pace of a real camera.

`schedule.py` decides what a frame shows, from seed, mode and index alone. The truth never travels with a frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from agent.core.clock import Pace, utc_now
from agent.core.errors import Temporary
from agent.core.records import Image
from agent.sources.settings import SimulatorSettings
from agent.sources.simulator.faults import Fault, FaultKind, Timetable, apply_fault
from agent.sources.simulator.schedule import SimulatedLine
from agent.sources.source import Captured, EndOfStream, FrameSource


class SimulatorSource(FrameSource):
    """Frames of a simulated line.

    line: the parts that pass under the camera.
    frames_per_second: pace of the camera. With None it is not live: it gives frames as fast as they are read.
    frame_count: the stream ends after so many frames; None: never.
    faults: when the camera fails, and how.

    Frame n of the stream shows `line.truth(n)`. Opening the camera again does not restart the line, and no frame is
    counted while the camera is lost.
    """

    def __init__(
        self,
        line: SimulatedLine,
        *,
        frames_per_second: float | None = 20.0,
        frame_count: int | None = None,
        faults: Sequence[Fault] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self.live = frames_per_second is not None
        self._line = line
        self._pace = Pace(frames_per_second, clock, sleep)
        self._frame_count = frame_count
        self._timetable = Timetable(faults)
        self._clock, self._now = clock, now
        self._index = 0
        self._first_at: float | None = None
        self._last_image: Image | None = None

    def describe(self) -> str:
        """Name the source."""
        return f"simulator ({self._line.mode}, seed {self._line.seed})"

    def _open(self) -> None:
        self._pace.restart()
        if self._fault() is FaultKind.LOST:
            raise Temporary(f"{self.describe()} does not open: simulated loss of the camera")

    def _read(self) -> Captured:
        if self._frame_count is not None and self._index >= self._frame_count:
            raise EndOfStream
        self._pace.wait()
        if self._first_at is None:
            self._first_at = self._clock()
        fault = self._fault()
        if fault is FaultKind.LOST:
            raise Temporary(f"{self.describe()} gives no frames: simulated loss of the camera")
        captured_at, captured_monotonic = self._now(), self._clock()
        image = self._image(fault)
        self._index += 1
        return Captured(image, captured_at, captured_monotonic)

    def _close(self) -> None:
        """Nothing to release."""

    def _image(self, fault: FaultKind | None) -> Image:
        if fault is FaultKind.FROZEN and self._last_image is not None:
            repeated: Image = self._last_image.copy()
            return repeated
        image = self._line.image(self._index)
        if fault is not None:
            image = apply_fault(image, fault, np.random.default_rng((self._line.seed, self._index)))
        self._last_image = image
        return image

    def _fault(self) -> FaultKind | None:
        if self._first_at is None:
            return self._timetable.fault(self._index, 0.0)
        return self._timetable.fault(self._index, self._clock() - self._first_at)


def from_settings(settings: SimulatorSettings, *, quarantine_directory: Path) -> SimulatorSource:
    """The simulated line that the settings describe. It puts nothing into quarantine."""
    line = SimulatedLine(
        settings.mode,
        seed=settings.seed,
        defect_rate=settings.defect_rate,
        frames_per_part=settings.frames_per_part,
        gap_frames=settings.gap_frames,
        good_frames=settings.good_frames,
        loose=settings.loose,
    )
    faults = [
        Fault(FaultKind(fault.kind), fault.duration_seconds, fault.start_seconds, fault.start_frame)
        for fault in settings.faults
    ]
    return SimulatorSource(
        line, frames_per_second=settings.frames_per_second, frame_count=settings.max_frames, faults=faults
    )
