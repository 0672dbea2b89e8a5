"""The simulated camera with a real model and its real calibration, on a clock of the tests' own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from agent.alarms.camera_alarm import CameraAlarm
from agent.alarms.defect_alarm import ActiveAlarm, DefectAlarm
from agent.core.records import Frame, Image, Phase
from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.inspector import Inspector
from agent.inspection.outcome import Outcome
from agent.inspection.preparation import Preparation
from agent.inspection.station import SETTLING_FRAMES, Station
from agent.sources.simulator.faults import Fault
from agent.sources.simulator.schedule import SimulatedLine
from agent.sources.simulator.source import SimulatorSource
from calibration import Budget, Rule, Store, glance
from engines.bundles.bundle import read_bundle
from engines.runtime.engine import Engine
from engines.runtime.opening import open_engine
from tests.support.clocks import FakeClock
from tests.support.frames import START

BUNDLES = Path(str(files("engines.bundles.shipped")))
MODES = ("camera", "xray")
FRAMES_PER_SECOND = 20.0
WINDOW_FRAMES = 150
PLAN = CalibrationPlan(
    frames=WINDOW_FRAMES,
    max_frames=WINDOW_FRAMES,
    budget=Budget.parse("1 per shift"),
    rule=Rule(2, 3),
    confidence=0.95,
    require_certificate=False,
    clear_after_seconds=0.2,
    frames_per_second=FRAMES_PER_SECOND,
)


@dataclass(frozen=True)
class CalibratedCamera:
    """Camera `line1` with its engine, calibrated."""

    mode: str
    engine: Engine
    store: Path
    """Directory of its calibrations."""

    def station(self, plan: CalibrationPlan = PLAN, active_camera_alarm: ActiveAlarm | None = None) -> Station:
        """A new station, as after a restart."""
        ids = itertools.count(1)
        defect_alarm = DefectAlarm("line1", plan.clear_after_seconds, lambda: f"defect-{next(ids)}")
        camera_alarm = CameraAlarm("line1", lambda: f"camera-{next(ids)}", active_camera_alarm)
        identity = CalibrationKey("line1", self.engine.bundle.sha256, self.engine.name)
        return Station(identity, plan, Store(self.store), defect_alarm, camera_alarm, now=lambda: START)

    def judge(self, station: Station, index: int, seconds: float, image: Image, opening: int | None = None) -> Outcome:
        """Judge an image captured at a monotonic time, after so many openings of the camera."""
        inspected, pixels = Preparation(self.engine.bundle.geometry)(image)[:2]
        frame = Frame("line1", index, START, seconds, inspected)
        return Inspector(self.engine, {"line1": station}).inspect(
            [PreparedFrame(frame, pixels, glance(pixels), opening)]
        )[0]

    def play(self, station: Station, line: SimulatedLine, *faults: Fault, seconds: float) -> list[Outcome]:
        """Judge the frames of the simulated camera for so many seconds, from its start."""
        clock = FakeClock()
        source = SimulatorSource(
            line, frames_per_second=FRAMES_PER_SECOND, faults=faults, clock=clock.monotonic, sleep=clock.sleep
        )
        outcomes = []
        with source:
            for index in range(round(seconds * FRAMES_PER_SECOND)):
                captured = source.read()
                outcomes.append(self.judge(station, index, captured.captured_monotonic, captured.image))
        return outcomes


@contextmanager
def calibrated_camera(mode: str, store: Path) -> Iterator[CalibratedCamera]:
    """A camera calibrated on good parts of a line of its own; the calibration is kept in `store`."""
    bundle = read_bundle(BUNDLES / f"simulator-{mode}.bundle")
    with open_engine(bundle, "onnxruntime") as engine:
        camera = CalibratedCamera(mode, engine, store)
        station = camera.station()
        line = SimulatedLine(mode, seed=11, defect_rate=0.0)
        camera.play(station, line, seconds=(SETTLING_FRAMES + WINDOW_FRAMES) / FRAMES_PER_SECOND)
        assert station.phase is Phase.ARMED
        yield camera
