"""Every fault that the simulated camera can have: reported in time, never as a defect, and cleared in time.

A real model, its real calibration and the real simulator, at 20 frames per second on a clock of the tests' own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.alarms.defect_alarm import ActiveAlarm
from agent.core.records import Alarm, AlarmEvent, AlarmKind, Image, Phase
from agent.inspection.outcome import Outcome
from agent.inspection.preparation import Preparation
from agent.sources.simulator.faults import Fault, FaultKind
from agent.sources.simulator.schedule import SimulatedLine
from calibration import CameraMonitor, glance
from calibration.camera.camera_history import CameraHistory
from engines.bundles.bundle import read_bundle
from tests.support.simulated_camera import (
    BUNDLES,
    FRAMES_PER_SECOND,
    MODES,
    PLAN,
    WINDOW_FRAMES,
    CalibratedCamera,
    calibrated_camera,
)

# When the fault begins, how long it lasts, and for how long frames are captured; seconds.
BEGINS, LASTS, WATCHED = 1.0, 2.0, 5.5


@pytest.fixture(scope="module", params=MODES)
def camera(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CalibratedCamera]:
    with calibrated_camera(request.param, tmp_path_factory.mktemp(request.param)) as camera:
        yield camera


def alarms(outcomes: list[Outcome]) -> list[Alarm]:
    return [alarm for outcome in outcomes for each in (*outcome.late, outcome) for alarm in each.alarms]


def good_line(mode: str) -> SimulatedLine:
    return SimulatedLine(mode, seed=12, defect_rate=0.0)


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.LOST])
def test_a_fault_is_reported_and_cleared_within_two_seconds_and_raises_no_defect(
    camera: CalibratedCamera, kind: FaultKind
) -> None:
    station = camera.station()
    outcomes = camera.play(station, good_line(camera.mode), Fault(kind, LASTS, start_seconds=BEGINS), seconds=WATCHED)
    raised, cleared = alarms(outcomes)
    assert (raised.kind, raised.event, cleared.kind, cleared.event) == (
        AlarmKind.CAMERA,
        AlarmEvent.RAISED,
        AlarmKind.CAMERA,
        AlarmEvent.CLEARED,
    )
    assert raised.id == cleared.id
    assert raised.reason is not None
    assert raised.reason.startswith(f"{kind.value}: ")
    assert BEGINS < raised.frame / FRAMES_PER_SECOND < BEGINS + 2.0
    assert BEGINS + LASTS < cleared.frame / FRAMES_PER_SECOND < BEGINS + LASTS + 2.0
    judged = [outcome.frame.index for outcome in outcomes if outcome.verdict is not None]
    assert not [index for index in judged if raised.frame <= index <= cleared.frame], "no frame is judged while blind"
    assert station.phase is Phase.ARMED
    assert judged[-1] == outcomes[-1].frame.index, "frames are judged again"


def test_a_faulty_camera_makes_the_phase_blind_with_its_reason(camera: CalibratedCamera) -> None:
    station = camera.station()
    camera.play(station, good_line(camera.mode), Fault(FaultKind.BLACK, 9.0, start_seconds=0.5), seconds=2.0)
    assert station.phase is Phase.BLIND
    assert station.blind_reason is not None
    assert station.blind_reason.startswith("black: ")
    assert station.active_alarm_id is not None
    assert station.active_alarm_id.startswith("camera-")


@pytest.mark.parametrize("kind", [FaultKind.BLACK, FaultKind.SATURATED])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_few_blank_frames_raise_neither_a_defect_nor_a_camera_alarm(
    camera: CalibratedCamera, kind: FaultKind, frames: int
) -> None:
    station = camera.station()
    fault = Fault(kind, frames / FRAMES_PER_SECOND - 0.001, start_seconds=0.999)
    outcomes = camera.play(station, good_line(camera.mode), fault, seconds=3.0)
    assert sum(outcome.verdict is None for outcome in outcomes) == frames
    assert alarms(outcomes) == []


def test_a_loose_cable_is_reported_although_every_second_frame_is_good(camera: CalibratedCamera) -> None:
    station, line = camera.station(), good_line(camera.mode)
    found = []
    for index in range(80):
        image = line.image(index)
        image = image if index % 2 else np.zeros_like(image)
        found.append(camera.judge(station, index, index / FRAMES_PER_SECOND, image))
    raised = alarms(found)
    assert [alarm.kind for alarm in raised] == [AlarmKind.CAMERA]
    assert raised[0].frame <= 2.0 * FRAMES_PER_SECOND + 1


def test_defects_are_never_taken_for_camera_faults(camera: CalibratedCamera) -> None:
    """Among many bad parts no frame is held back, and every alarm is about a defect."""
    station = camera.station()
    line = SimulatedLine(camera.mode, seed=13, defect_rate=0.2)
    outcomes = camera.play(station, line, seconds=12.0)
    assert any(line.truth(outcome.frame.index).kind for outcome in outcomes)
    assert all(outcome.verdict is not None for outcome in outcomes)
    kinds = {alarm.kind for alarm in alarms(outcomes)}
    assert kinds == {AlarmKind.DEFECT}


@pytest.mark.parametrize("strange", ["no part", "covered", "misplaced"])
def test_a_strange_part_raises_a_defect_and_no_camera_alarm(camera: CalibratedCamera, strange: str) -> None:
    """One part of four frames that looks like a camera fault: no part, a hidden one, or one far from its place."""
    station, line = camera.station(), good_line(camera.mode)
    outcomes = []
    for index in range(60):
        image = strange_part(line, index, strange) if 20 <= index < 24 else line.image(index)
        outcomes.append(camera.judge(station, index, index / FRAMES_PER_SECOND, image))
    assert [(alarm.kind, alarm.event) for alarm in alarms(outcomes)] == [
        (AlarmKind.DEFECT, AlarmEvent.RAISED),
        (AlarmKind.DEFECT, AlarmEvent.CLEARED),
    ]
    assert 20 <= alarms(outcomes)[0].frame < 24


def strange_part(line: SimulatedLine, index: int, strange: str) -> Image:
    image = line.image(index)
    if strange == "misplaced":
        return np.roll(image, line.size // 10, axis=0)
    background = np.median(image[:16].astype(np.float64))
    noise = np.random.default_rng(index).normal(0.0, 0.01 * np.iinfo(image.dtype).max, image.shape)
    empty = np.clip(background + noise, 0, np.iinfo(image.dtype).max).astype(image.dtype)
    if strange == "covered":
        rows, columns, _ = np.indices(image.shape)
        hidden = (rows - line.size // 2) ** 2 + (columns - line.size // 2) ** 2 < (line.size // 3) ** 2
        return np.where(hidden, empty, image)
    return empty


def test_a_line_without_parts_raises_no_camera_alarm(camera: CalibratedCamera) -> None:
    """However long it lasts: the empty place is strange, but in focus and well lit."""
    station, line = camera.station(), good_line(camera.mode)
    outcomes = [
        camera.judge(station, index, index / FRAMES_PER_SECOND, strange_part(line, index, "no part"))
        for index in range(60)
    ]
    assert AlarmKind.CAMERA not in {alarm.kind for alarm in alarms(outcomes)}


def test_an_active_defect_alarm_outlasts_a_camera_fault(camera: CalibratedCamera) -> None:
    """No frame was judged meanwhile, so its quiet time starts when the camera is healthy again."""
    station, line = camera.station(), good_line(camera.mode)
    outcomes = []
    for index in range(70):
        image = strange_part(line, index, "no part") if index < 4 else line.image(index)
        image = np.zeros_like(image) if 4 <= index < 40 else image
        outcomes.append(camera.judge(station, index, index / FRAMES_PER_SECOND, image))
    defect_raised, camera_raised, camera_cleared, defect_cleared = alarms(outcomes)
    assert (defect_raised.kind, camera_raised.kind) == (AlarmKind.DEFECT, AlarmKind.CAMERA)
    assert (camera_cleared.kind, defect_cleared.kind) == (AlarmKind.CAMERA, AlarmKind.DEFECT)
    assert defect_cleared.id == defect_raised.id
    assert defect_cleared.frame >= camera_cleared.frame + PLAN.clear_after_seconds * FRAMES_PER_SECOND


def test_a_lost_camera_raises_one_alarm_and_its_frames_clear_it(camera: CalibratedCamera) -> None:
    station, line = camera.station(), good_line(camera.mode)
    for index in range(10):
        camera.judge(station, index, index / FRAMES_PER_SECOND, line.image(index))
    raised = station.mark_camera_lost("no cable", 1.5)
    assert raised is not None
    assert (raised.kind, raised.event, raised.frame, raised.reason) == (
        AlarmKind.CAMERA,
        AlarmEvent.RAISED,
        9,
        "lost: no cable",
    )
    assert station.mark_camera_lost("no cable", 2.0) is None
    assert station.phase is Phase.BLIND
    back = [camera.judge(station, index, index / FRAMES_PER_SECOND, line.image(index)) for index in range(60, 90)]
    (cleared,) = alarms(back)
    assert (cleared.id, cleared.event) == (raised.id, AlarmEvent.CLEARED)
    assert (cleared.frame - 60) / FRAMES_PER_SECOND <= 0.6
    assert station.phase is Phase.ARMED


def test_an_active_camera_alarm_survives_a_restart(camera: CalibratedCamera) -> None:
    before = ActiveAlarm("camera-7", 3.0, "black: it was dark")
    station = camera.station(active_camera_alarm=ActiveAlarm.from_json(before.to_json()))
    assert station.phase is Phase.BLIND
    (cleared,) = alarms(camera.play(station, good_line(camera.mode), seconds=1.0))
    assert (cleared.id, cleared.event, cleared.reason) == ("camera-7", AlarmEvent.CLEARED, "black: it was dark")


def test_a_camera_that_was_moved_on_purpose_can_be_recalibrated_while_blind(
    camera: CalibratedCamera, tmp_path: Path
) -> None:
    """After the recalibration the new images are the good ones."""
    for record in camera.store.glob("*.json"):
        (tmp_path / record.name).write_bytes(record.read_bytes())
    (tmp_path / "active").symlink_to((camera.store / "active").readlink())
    moved = CalibratedCamera(camera.mode, camera.engine, tmp_path)
    station = moved.station()
    line, fault = good_line(camera.mode), Fault(FaultKind.SHIFTED, 999.0, start_seconds=0.0)
    moved.play(station, line, fault, seconds=2.0)
    assert station.phase is Phase.BLIND
    station.recalibrate(PLAN)
    outcomes = moved.play(station, line, fault, seconds=(WINDOW_FRAMES + 5) / 20.0)
    (candidate,) = [outcome.candidate for outcome in outcomes if outcome.candidate]
    station.activate(candidate.calibration, "anna")
    (cleared,) = alarms(moved.play(station, line, fault, seconds=1.5))
    assert cleared.event is AlarmEvent.CLEARED
    assert station.phase is Phase.ARMED


def lit(image: Image, light: float) -> Image:
    """The image under so much of the usual light."""
    full = np.iinfo(image.dtype).max
    return np.clip(image * light, 0, full).astype(image.dtype)


def opened_anew(
    camera: CalibratedCamera, light: Callable[[int], float], *, strange: range = range(0), frames: int = 90
) -> tuple[list[Outcome], int]:
    """Outcomes, and the frames left out: one second in the usual light, then an opening, and a light for each frame."""
    station, line = camera.station(), good_line(camera.mode)
    outcomes = [camera.judge(station, each, each / FRAMES_PER_SECOND, line.image(each), 1) for each in range(20)]
    assert alarms(outcomes) == []
    for index in range(20, 20 + frames):
        image = strange_part(line, index, "misplaced") if index - 20 in strange else line.image(index)
        image = lit(image, light(index - 20))
        outcomes.append(camera.judge(station, index, 0.5 + index / FRAMES_PER_SECOND, image, 2))
    return outcomes, station.left_out


RAMPS: dict[str, Callable[[int], float]] = {
    "from dark": lambda since: 0.25 + 0.75 * min(1.0, since / 30),
    "from dim": lambda since: 0.7 + 0.3 * min(1.0, since / 20),
    "from bright": lambda since: 1.5 - 0.5 * min(1.0, since / 20),
    "overshoot": lambda since: 1.0 - 0.6 * np.exp(-since / 8.0) * np.cos(since / 3.0),
    "black at first": lambda since: 0.0 if since < 8 else min(1.0, since / 25),
}


@pytest.mark.parametrize("ramp", RAMPS)
def test_light_that_settles_after_an_opening_raises_no_defect(camera: CalibratedCamera, ramp: str) -> None:
    outcomes, left_out = opened_anew(camera, RAMPS[ramp])
    assert AlarmKind.DEFECT not in {alarm.kind for alarm in alarms(outcomes)}
    assert all(outcome.verdict is not None for outcome in outcomes[-30:])
    unjudged = sum(outcome.verdict is None for outcome in outcomes)
    assert 0 < left_out <= unjudged


def test_usual_light_after_an_opening_leaves_nothing_out(camera: CalibratedCamera) -> None:
    outcomes, left_out = opened_anew(camera, lambda since: 1.0, frames=20)
    assert left_out == 0
    assert [outcome.verdict is None for outcome in outcomes[20:25]] == [True, True, False, False, False]
    assert len(outcomes[22].late) == 1, "those held back are judged with the next frame"


def test_a_bad_part_in_the_first_frames_after_an_opening_raises_a_defect(camera: CalibratedCamera) -> None:
    outcomes, _ = opened_anew(camera, lambda since: 1.0, strange=range(4), frames=20)
    assert [alarm.kind for alarm in alarms(outcomes)][:1] == [AlarmKind.DEFECT]


def test_light_that_stays_unusual_after_an_opening_is_judged_again_in_time(camera: CalibratedCamera) -> None:
    """The lamp was changed: after three seconds this is the light of the line, and judged as before the opening."""
    outcomes, left_out = opened_anew(camera, lambda since: 0.75)
    judged = [outcome.frame.index - 20 for outcome in outcomes[20:] if outcome.verdict is not None]
    assert judged[0] == round(3.0 * FRAMES_PER_SECOND)
    assert outcomes[20 + judged[0]].late, "frames in the same light are judged, not dropped"
    assert left_out == 0


def test_light_that_returns_slowly_after_a_lamp_failed_raises_no_defect(camera: CalibratedCamera) -> None:
    station, line, outcomes = camera.station(), good_line(camera.mode), []
    for index in range(160):
        light = 1.0 if index < 20 else 0.0 if index < 60 else min(1.0, 0.1 + (index - 60) / 50)
        image = lit(line.image(index), light)
        outcomes.append(camera.judge(station, index, index / FRAMES_PER_SECOND, image, 1))
    assert {alarm.kind for alarm in alarms(outcomes)} == {AlarmKind.CAMERA}
    assert outcomes[-1].verdict is not None


@pytest.mark.parametrize("frames", [2, 5])
def test_equal_images_of_a_bad_part_raise_a_defect(camera: CalibratedCamera, frames: int) -> None:
    """A part that lies still in front of a camera without noise, or whose image a folder has twice."""
    station, line, outcomes = camera.station(), good_line(camera.mode), []
    bad = strange_part(line, 20, "misplaced")
    for index in range(60):
        image = bad if 20 <= index < 20 + frames else line.image(index)
        outcomes.append(camera.judge(station, index, index / FRAMES_PER_SECOND, image))
    assert [(alarm.kind, alarm.event) for alarm in alarms(outcomes)] == [
        (AlarmKind.DEFECT, AlarmEvent.RAISED),
        (AlarmKind.DEFECT, AlarmEvent.CLEARED),
    ]


@pytest.mark.parametrize(
    ("seed", "frames"), [(14, 300), *(pytest.param(seed, 1500, marks=pytest.mark.slow) for seed in (15, 16, 17))]
)
@pytest.mark.parametrize("mode", MODES)
def test_a_healthy_camera_is_never_suspect(mode: str, seed: int, frames: int) -> None:
    """One part in five is bad, yet no frame shows a symptom: none is held back, and no camera alarm is raised."""
    line = SimulatedLine(mode, seed=seed, defect_rate=0.2)
    bundle = read_bundle(BUNDLES / f"simulator-{mode}.bundle")
    prepare = Preparation(bundle.geometry)
    history = CameraHistory()
    calibrated_on = SimulatedLine(mode, seed=seed + 100, defect_rate=0.0)
    for index in range(WINDOW_FRAMES):
        history.add(prepare(calibrated_on.image(index))[1])
    monitor = CameraMonitor(history.reference())
    found = {index: monitor.check(glance(prepare(line.image(index))[1])) for index in range(frames)}
    assert {index: finding for index, finding in found.items() if finding} == {}
    assert sum(line.part(part).kind is not None for part in range(frames // line.frames_per_part)) > frames // 40
