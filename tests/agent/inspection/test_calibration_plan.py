"""Which thresholds an engine is checked against before it is used."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.inspection.calibration_plan import calibrations_of, thresholds_in_force
from agent.settings.load import load_settings
from agent.settings.settings import Settings
from calibration import Calibration, Store
from tests.calibration.lines import BUNDLE_SHA256, NOON, calibration

BUNDLE = BUNDLE_SHA256

CAMERA = """\
[cameras.{name}]
bundle = "part.bundle"
[cameras.{name}.source]
kind = "folder"
path = "images"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An agent with three cameras."""
    head = 'site = "plant"\nstate_directory = "state"\n[mqtt]\nurl = "mqtt://localhost"\n'
    (tmp_path / "agent.toml").write_text(head + "".join(CAMERA.format(name=name) for name in ("a", "b", "c")))
    return load_settings(tmp_path / "agent.toml")


@pytest.fixture
def calibrate(settings: Settings) -> Callable[[str, Calibration], float]:
    """Puts a calibration in force for a camera and returns its threshold."""

    def put(camera: str, made: Calibration) -> float:
        store = Store(calibrations_of(settings, camera))
        store.save(made)
        store.activate(made.id, who="anna", at=NOON)
        return made.threshold.value

    return put


Calibrate = Callable[[str, Calibration], float]


def test_thresholds_before_the_first_calibration_are_none_and_no_folder_is_made(settings: Settings) -> None:
    assert thresholds_in_force(settings, BUNDLE) == ()
    assert not settings.state_directory.exists()


def test_thresholds_are_of_every_camera_of_the_bundle_on_any_engine(settings: Settings, calibrate: Calibrate) -> None:
    first = calibrate("a", calibration(seed=1))
    other = calibrate("c", dataclasses.replace(calibration(seed=2), engine="tensorrt", id=""))
    calibrate("b", dataclasses.replace(calibration(seed=3), bundle_sha256="cd" * 32, id=""))
    assert thresholds_in_force(settings, BUNDLE) == (first, other)


def test_thresholds_are_of_the_calibrations_in_force_only(settings: Settings, calibrate: Calibrate) -> None:
    calibrate("a", calibration(seed=1))
    later = calibrate("a", calibration(seed=2))
    assert thresholds_in_force(settings, BUNDLE) == (later,)


def test_thresholds_leave_out_a_calibration_that_cannot_be_read(settings: Settings, calibrate: Calibrate) -> None:
    broken = calibration(seed=1)
    calibrate("a", broken)
    (calibrations_of(settings, "a") / f"{broken.id}.json").write_text("{")
    other = calibrate("b", calibration(seed=2))
    assert thresholds_in_force(settings, BUNDLE) == (other,)
