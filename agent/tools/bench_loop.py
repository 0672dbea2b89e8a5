"""The agent's loop for `inspectd bench`: capture thread, queue, inspection thread and station, without outputs."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from pathlib import Path

from agent.alarms import CameraAlarm, DefectAlarm
from agent.core.durations import Durations
from agent.core.errors import Permanent
from agent.core.records import Image, Phase
from agent.inspection import (
    CalibrationKey,
    CalibrationPlan,
    Capture,
    FrameQueue,
    InspectionThread,
    Inspector,
    Outcome,
    Preparation,
    Station,
)
from agent.sources import Captured, FrameSource
from calibration import Budget, Rule, Store
from engines.runtime import Engine

# A turn has at least so many frames, however slow the machine is.
MIN_FRAMES = 10

# The first frames of a turn are not counted: threads wake up, caches fill.
WARM_UP_FRAMES = 10

# A calibration takes 70 frames; after a rejected window another one follows.
MAX_FRAMES_TO_ARM = 2_000

_CAMERA = "bench"


class BenchLoop:
    """The loop as in the service, armed, without alarms. It runs only during `rate`."""

    def __init__(
        self, engine: Engine, frames: list[Image], directory: Path, *, max_frames_to_arm: int = MAX_FRAMES_TO_ARM
    ) -> None:
        """Args:
        frames: shown over and over; [H, W, C] of the model's geometry.
        directory: for the calibration.
        max_frames_to_arm: entering fails if the loop is not armed after so many.
        """
        self.durations = Durations()
        """From capture to verdict, seconds."""
        self.source = RepeatedFrames(frames)
        self._max_frames_to_arm = max_frames_to_arm
        self._judged: list[float] = []
        self._station = _station(engine, directory)
        self._queue = FrameQueue()
        self._queue.add_camera(_CAMERA, newest_only=False)
        self._capture = Capture(_CAMERA, self.source, self._queue, Preparation(engine.bundle.geometry))
        inspector = Inspector(engine, {_CAMERA: self._station})
        self._inspection = InspectionThread(_CAMERA, self._queue, inspector, self._take)

    def __enter__(self) -> BenchLoop:
        """Start the threads and calibrate. Raises Permanent if the loop does not arm."""
        self._inspection.start()
        self._capture.start()
        while self._station.phase is not Phase.ARMED:
            # Checked before a turn: a fast machine exceeds the limit, and is armed, in the first one.
            if self.judged > self._max_frames_to_arm:
                self.__exit__()
                raise Permanent(f"the loop does not arm on the bundle's reference frames: {self._station.reason}")
            self._run(0.5, min_frames=1)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the threads and wait for them."""
        self._capture.stop()
        self.source.go.set()
        self._queue.close()
        self._capture.join()
        self._inspection.join()

    @property
    def judged(self) -> int:
        """Number of frames judged so far."""
        return len(self._judged)

    @property
    def is_running(self) -> bool:
        """Whether both threads are alive."""
        return self._capture.is_alive() and self._inspection.is_alive()

    def rate(self, seconds: float) -> float:
        """Run for this time and return frames per second. All frames read are judged when it returns."""
        times = self._run(seconds, min_frames=WARM_UP_FRAMES + MIN_FRAMES)[WARM_UP_FRAMES:]
        return (len(times) - 1) / (times[-1] - times[0])

    def _run(self, seconds: float, *, min_frames: int) -> list[float]:
        """Let frames through; when each was judged, seconds of `perf_counter`."""
        first, end = self.judged, time.perf_counter() + seconds
        self.source.go.set()
        while time.perf_counter() < end or self.judged < first + min_frames:
            self._wait()
        self.source.go.clear()
        times = self._judged[first:]
        while self.source.reads > self.judged:
            self._wait()
        return times

    def _wait(self) -> None:
        if not self.is_running:
            raise Permanent("the loop ended early; see the log")
        time.sleep(0.01)

    def _take(self, outcome: Outcome) -> None:
        self._judged.append(time.perf_counter())
        if outcome.verdict is not None:
            self.durations.add(time.monotonic() - outcome.frame.captured_monotonic)


def _station(engine: Engine, directory: Path) -> Station:
    """A station with the shortest window, and a budget whose threshold no frame of the bench reaches.

    Its images are taken for good ones, so that it asks nobody to look at them.
    """
    plan = CalibrationPlan(
        frames=50,
        max_frames=50,
        budget=Budget.parse("1 per week"),
        rule=Rule(1, 1),
        confidence=0.95,
        require_certificate=False,
        clear_after_seconds=1.0,
        frames_per_second=1000.0,
        fresh=True,
    )
    return Station(
        CalibrationKey(_CAMERA, engine.bundle.sha256, engine.name),
        plan,
        Store(directory),
        DefectAlarm(_CAMERA, 1.0, lambda: _CAMERA),
        CameraAlarm(_CAMERA, lambda: _CAMERA),
        now=lambda: datetime.now(timezone.utc),
    )


class RepeatedFrames(FrameSource):
    """The same frames over and over, as fast as they are read, while `go` is set."""

    live = False

    def __init__(self, frames: list[Image]) -> None:
        super().__init__()
        self.go = threading.Event()
        self.reads = 0
        """Number of frames read so far."""
        self._frames = frames

    def describe(self) -> str:
        return _CAMERA

    def _open(self) -> None:
        return

    def _read(self) -> Captured:
        self.go.wait()
        self.reads += 1
        image = self._frames[self.reads % len(self._frames)]
        return Captured(image, datetime.now(timezone.utc), time.monotonic())

    def _close(self) -> None:
        return
