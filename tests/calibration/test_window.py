"""The window: extended where it must be, refused where it should be, clean where it was not."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import Budget, CalibrationError, Rule, calibrate
from calibration.suspects import suspected_frames
from tests.calibration.lines import NOON, TIED_TO, filled, heat, picture, scores, window

FINISH = {**TIED_TO, "created_at": NOON, "who": "anna"}


def test_window_of_good_frames_becomes_a_calibration() -> None:
    collected = filled(scores(1_200))
    assert collected.complete
    assert collected.count == collected.target == 1_200
    calibration = collected.finish(**FINISH)
    assert calibration.threshold.certified
    assert "at most" in calibration.promise
    assert calibration.left_out == ()
    assert calibration.scores.dtype == np.float32
    assert (calibration.first_frame, calibration.last_frame) == (0, 1_199)


def test_window_keeps_the_frame_numbers_of_the_camera() -> None:
    collected = window(frames=60)
    for index in range(60):
        collected.add(float(scores(60)[index]), heat(index), picture(index), frame=1_000 + 2 * index)
    calibration = collected.finish(**FINISH)
    assert (calibration.first_frame, calibration.last_frame) == (1_000, 1_118)


def test_window_grows_until_the_budget_is_certified() -> None:
    """300 dependent frames do not certify one in a hundred; the window asks for more by itself, and then does."""
    values = scores(60_000, correlation=0.9)
    collected = window(frames=300, max_frames=50_000)
    shown = picture(0), picture(1)
    while not collected.complete:
        collected.add(float(values[collected.count]), heat(0), shown[collected.count % 2])
    assert 1_000 <= collected.count < 20_000
    assert collected.finish(**FINISH).threshold.certified


def test_window_does_not_grow_in_vain() -> None:
    """No window of 2,000 frames certifies one alarm a day: independent frames are enough as they are."""
    collected = window(frames=300, max_frames=2_000, budget="1 per day")
    values = scores(300)
    for index in range(300):
        collected.add(float(values[index]), heat(index), picture(index))
    assert collected.complete
    assert not collected.finish(**FINISH).threshold.certified


def test_window_grows_to_a_fair_sample_where_frames_depend() -> None:
    """300 frames at correlation 0.98 are worth a handful: too few even to extrapolate from."""
    values = scores(3_000, correlation=0.98)
    collected = window(frames=300, max_frames=2_000, budget="1 per day")
    while not collected.complete:
        collected.add(float(values[collected.count]), heat(0), picture(collected.count))
    assert collected.count == 2_000


@pytest.mark.parametrize("share", [0.01, 0.04])
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_window_with_defects_leaves_them_out_and_says_so(share: float, correlation: float) -> None:
    values = scores(500, correlation=correlation, seed=3)
    bad = np.random.default_rng(0).choice(500, int(share * 500), replace=False)
    values[bad] += 12 * values.std()
    calibration = filled(values).finish(**FINISH)
    assert {out.index for out in calibration.left_out} == set(bad)
    assert all(
        out.thumbnail_png is not None and out.thumbnail_png.startswith(b"\x89PNG") for out in calibration.left_out
    )
    assert f"{bad.size} frames left out" in calibration.left_out_cost
    assert calibration.kept_scores.size == 500 - bad.size
    assert calibration.threshold.value < values[bad].min()


GAMMA_SIGMA = 2.0
"""Standard deviation of the scores of `lines.scores`."""


def in_runs_of_five(frames: int, share: float, seed: int) -> np.ndarray:
    """Frames with a defect in them, which stays in sight for five frames."""
    starts = np.random.default_rng(seed).choice(frames // 10, round(frames * share / 5), replace=False) * 10
    return (starts[:, None] + np.arange(5)).ravel()


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_window_with_five_per_cent_of_six_sigma_defects_is_as_good_as_without(correlation: float) -> None:
    """In at least eight of ten windows most defects are left out, and no window is refused."""
    found = []
    for seed in range(10):
        values, bad = scores(1_000, correlation=correlation, seed=seed), in_runs_of_five(1_000, 0.05, seed)
        values[bad] += 6 * GAMMA_SIGMA
        left_out = {out.index for out in filled(values).finish(**FINISH).left_out}
        found.append(len(left_out & set(bad)) / bad.size)
    assert np.count_nonzero(np.array(found) > 0.9) >= 8


def test_window_with_a_hand_in_the_picture_leaves_the_run_out() -> None:
    values = scores(500, seed=4)
    values[200:220] += 10 * values.std()
    calibration = filled(values).finish(**FINISH)
    assert {out.index for out in calibration.left_out} == set(range(200, 220))


def test_window_with_too_many_suspects_is_refused_with_their_pictures() -> None:
    values = scores(400, seed=5)
    bad = np.random.default_rng(0).choice(400, 40, replace=False)
    values[bad] += 12 * values.std()
    with pytest.raises(CalibrationError, match="40 of 400 frames look unlike the rest") as error:
        filled(values).finish(**FINISH)
    assert {index for index, _ in error.value.pictures} == set(bad)
    assert all(small.dtype == np.uint8 and small.ndim == 3 for _, small in error.value.pictures)


@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.98])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_suspects_good_lines_lose_next_to_nothing(correlation: float, power: float) -> None:
    """Squared scores have a heavier tail. At most one of twenty windows may lose a frame."""
    hit = [suspected_frames(scores(1_000, correlation=correlation, seed=seed) ** power)[0].sum() for seed in range(20)]
    assert np.count_nonzero(hit) <= 1


def spoilt(kind: str, index: int) -> np.ndarray:
    if kind == "frozen":
        return picture(0)
    if kind == "frozen but for a pixel":
        shown = picture(0)
        shown[0, 0, 0] = index % 256
        return shown
    if kind == "frozen halfway":
        return picture(min(index, 20))
    return (
        picture(index, level={"black": 0.0, "saturated": 1.5}[kind]) if kind != "black" else np.zeros_like(picture(0))
    )


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("frozen", "frozen"),
        ("frozen but for a pixel", "frozen"),
        ("frozen halfway", "frozen"),
        ("black", "black"),
        ("saturated", "saturated"),
    ],
)
def test_window_of_a_sick_camera_is_refused_by_name(kind: str, word: str) -> None:
    collected = window(frames=100)
    for index, value in enumerate(scores(100)):
        collected.add(float(value), heat(index), spoilt(kind, index))
    with pytest.raises(CalibrationError, match=f"camera {word}") as error:
        collected.finish(**FINISH)
    assert error.value.pictures
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("bits", "channels", "level"), [(16, 1, 0.03), (8, 3, 0.4), (16, 1, 0.5)])
def test_window_of_other_pictures_is_fine(bits: int, channels: int, level: float) -> None:
    """A 12-bit sensor fills a sixteenth of sixteen bits; that is not black."""
    collected = window(frames=100)
    for index, value in enumerate(scores(100)):
        collected.add(float(value), heat(index), picture(index, bits=bits, channels=channels, level=level))
    reference = collected.finish(**FINISH).camera_reference
    assert (reference.height, reference.width, reference.channels) == (48, 64, channels)
    assert reference.mean_level.low <= reference.mean_level.middle <= reference.mean_level.high
    assert reference.mean_level.middle == pytest.approx(level, abs=0.02)
    assert reference.sharpness.middle > 0
    assert reference.moved_share.low > 0.1


def test_window_of_equal_scores_asks_for_the_camera() -> None:
    with pytest.raises(CalibrationError, match="camera frozen"):
        filled(np.ones(100)).finish(**FINISH)


def test_window_nan_score_is_refused_with_its_picture() -> None:
    collected = window(frames=100)
    with pytest.raises(CalibrationError, match="scores nan") as error:
        collected.add(float("nan"), heat(0), picture(0))
    assert [index for index, _ in error.value.pictures] == [0]
    assert collected.count == 0


def test_window_pictures_that_change_size_are_refused() -> None:
    collected = window(frames=100)
    collected.add(1.0, heat(0), picture(0))
    with pytest.raises(CalibrationError, match="as before"):
        collected.add(1.0, heat(0), picture(1)[:40])
    with pytest.raises(CalibrationError, match="as before"):
        collected.add(1.0, heat(0), picture(1, bits=16))
    with pytest.raises(CalibrationError, match="heatmap"):
        collected.add(1.0, heat(0, shape=(3, 3)), picture(1))
    assert collected.count == 1


@pytest.mark.parametrize(("frames", "most"), [(10, 100), (300, 200)])
def test_window_impossible_lengths_are_refused(frames: int, most: int) -> None:
    with pytest.raises(CalibrationError, match="window: got"):
        window(frames=frames, max_frames=most)


def test_threshold_is_not_below_what_frames_left_out_may_say_of_good_ones() -> None:
    """Fifty good parts, four frames each, one of them odd: without it the rest hardly has a tail."""
    rng = np.random.default_rng(8)
    values = np.repeat(1.0 + 0.3 * rng.standard_normal(50), 4) + 0.1 * rng.standard_normal(200)
    values[100:104] += 4.0
    calibration = filled(values, budget="1 per shift").finish(**FINISH)
    assert {out.index for out in calibration.left_out} == set(range(100, 104))
    rest = calibrate(
        np.delete(values, range(100, 104)),
        frames_per_second=20.0,
        budget=Budget.parse("1 per shift"),
        rule=calibration.rule,
    )
    assert rest.value < calibration.threshold.value < values[100:104].min()
    assert "left out" in calibration.threshold.reason
    assert calibration.threshold.promised_alarms_per_day == rest.promised_alarms_per_day
    far = np.where(values > 4.0, values + 100.0, values)
    assert filled(far, budget="1 per shift").finish(**FINISH).threshold.value == rest.value


def test_window_too_short_for_its_rule_is_refused() -> None:
    with pytest.raises(CalibrationError, match="at least 100"):
        window(frames=60, rule=Rule(k=3, n=10))


def test_finish_before_anything_came_is_refused() -> None:
    with pytest.raises(CalibrationError):
        window().finish(**FINISH)


def test_suspected_frames_take_the_frames_between_them_along() -> None:
    """A defect in sight for three frames is left out whole, though the middle one scores a little less."""
    values = scores(300, correlation=0.7, seed=4)
    values[100:103] += 40.0
    assert np.flatnonzero(suspected_frames(values)[0]).tolist() == [100, 101, 102]
