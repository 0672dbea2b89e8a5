"""One camera as a whole: when it counts as lost, on a clock of the tests' own."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path

from agent.core.backoff import Backoff
from agent.core.errors import Permanent, Temporary
from agent.inspection.camera_line import LOST_AFTER_SECONDS, CameraLine
from agent.inspection.capture import CameraState, CameraStatus, Capture
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.inspector import Inspector
from agent.inspection.preparation import Preparation, PreparedImage
from agent.inspection.setup import Setup
from agent.inspection.station import Station
from agent.inspection.thread import InspectionThread
from agent.settings.settings import CameraSettings
from calibration import ScoreLog
from engines.runtime.engine import Engine
from tests.support.frames import noise_image
from tests.support.scripted_source import ScriptedSource

StationOf = Callable[[str], Station]


class SteppedCapture:
    """A capture thread that stops at every change of status until the test lets it go on."""

    def __init__(self, source: ScriptedSource, frames: FrameQueue) -> None:
        self._changes: queue.SimpleQueue[CameraStatus] = queue.SimpleQueue()
        self._go_on: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.thread = Capture(
            "line1",
            source,
            frames,
            lambda image: PreparedImage(image, image),
            on_change=self._stop,
            backoff=Backoff(1e-3, 1e-3),
        )
        self.thread.start()

    def _stop(self, status: CameraStatus) -> None:
        self._changes.put(status)
        self._go_on.get(timeout=60)

    def next_state(self) -> CameraState:
        """Wait for the next change."""
        return self._changes.get(timeout=60).state

    def go_on(self) -> None:
        self._go_on.put(None)


def line_of(
    source: ScriptedSource, engine: Engine, station: Station, directory: Path
) -> tuple[CameraLine, SteppedCapture]:
    frames = FrameQueue(depth=100)
    frames.add_camera("line1", newest_only=False)
    stepped = SteppedCapture(source, frames)
    settings = CameraSettings.model_validate({"bundle": str(engine.bundle.path), "source": {"kind": "simulator"}})
    inspector = Inspector(engine, {"line1": station})
    setup = Setup(
        None,
        settings,
        bundle=engine.bundle,
        engine=engine,
        station=station,
        preparation=Preparation(engine.bundle.geometry),
        frames=frames,
        inspector=inspector,
        inspection=InspectionThread("test", frames, inspector, lambda outcome: None),
        score_log=ScoreLog(directory / "scores"),
    )
    line = CameraLine("line1", setup, stepped.thread)
    return line, stepped


def test_camera_is_lost_after_three_quarters_of_a_second_without_frames(
    engine: Engine, station_of: StationOf, tmp_path: Path
) -> None:
    source = ScriptedSource([noise_image(0), Temporary("no frame for 2 s"), noise_image(1)])
    line, capture = line_of(source, engine, station_of("line1"), tmp_path)
    assert capture.next_state() is CameraState.DELIVERING
    assert line.lost_reason(100.0) is None
    capture.go_on()
    assert capture.next_state() is CameraState.LOST
    assert LOST_AFTER_SECONDS == 0.75
    assert [line.lost_reason(now) for now in (101.0, 101.5, 101.74)] == [None] * 3, "it may only be reopened"
    assert line.lost_reason(101.75) == line.lost_reason(105.0) == "no frame for 2 s"
    capture.go_on()
    assert capture.next_state() is CameraState.DELIVERING
    assert line.lost_reason(106.0) is None
    capture.go_on()
    assert capture.next_state() is CameraState.ENDED
    assert line.lost_reason(200.0) is None, "a folder that has been read to its end is not lost"
    capture.go_on()
    capture.thread.join(60)


def test_camera_that_failed_for_good_is_lost_too(engine: Engine, station_of: StationOf, tmp_path: Path) -> None:
    line, capture = line_of(
        ScriptedSource([], opens=[Permanent("no such device")]), engine, station_of("line1"), tmp_path
    )
    assert capture.next_state() is CameraState.FAILED
    assert line.lost_reason(0.0) is None
    assert line.lost_reason(0.75) == "no such device"
    capture.go_on()
    capture.thread.join(60)
