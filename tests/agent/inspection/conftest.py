"""A real engine on a shipped bundle, and stations for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from agent.alarms.camera_alarm import CameraAlarm
from agent.alarms.defect_alarm import DefectAlarm
from agent.core.ids import new_id
from agent.core.records import Image
from agent.inspection.calibration_plan import CalibrationKey
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.preparation import Preparation
from agent.inspection.station import Station
from agent.sources.simulator.schedule import SimulatedLine
from calibration import Store, glance
from engines.bundles.bundle import read_bundle
from engines.runtime.engine import Engine
from engines.runtime.opening import open_engine
from tests.support.frames import START, frame
from tests.support.stations import PLAN


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    bundle = read_bundle(Path(str(files("engines.bundles.shipped"))) / "simulator-camera.bundle")
    with open_engine(bundle, "onnxruntime") as opened:
        yield opened


@pytest.fixture
def station_of(engine: Engine, tmp_path: Path) -> Callable[[str], Station]:
    """Makes the station of a camera, not calibrated yet."""

    def make(camera: str) -> Station:
        identity = CalibrationKey(camera, engine.bundle.sha256, engine.name)
        alarms = DefectAlarm(camera, 0.2, new_id), CameraAlarm(camera, new_id)
        return Station(identity, PLAN, Store(tmp_path / camera), *alarms, now=lambda: START)

    return make


@pytest.fixture(scope="session")
def captured(engine: Engine) -> Callable[[int, str], PreparedFrame]:
    """Makes the frame of an index and a camera, from the simulated line and ready for the engine."""
    line, prepare = SimulatedLine("camera", seed=3, defect_rate=0.0), Preparation(engine.bundle.geometry)

    def make(index: int, camera: str = "line1") -> PreparedFrame:
        image: Image = line.image(index)
        inspected, pixels = prepare(image)[:2]
        return PreparedFrame(frame(index, camera, inspected), pixels, glance(pixels))

    return make
