"""The window: extended if it does not suffice, rejected if it cannot be used, without defects if it had some."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import Budget, CalibrationError, Rule, SourceReference, Window, calibrate
from tests.calibration.lines import filled, heat, image, origin, scores, window


def test_window_of_good_frames_becomes_a_calibration() -> None:
    collected = filled(scores(1_200))
    assert collected.complete
    assert collected.count == collected.target == 1_200
    calibration = collected.finish(**origin())
    assert calibration.threshold.certified
    assert calibration.promise == (
        "You asked for at most 1 false alarm per 100 frames. 1,200 frames are enough to promise that, with 95% "
        "confidence. Likely: 0.5 per 100 frames; at worst 0.97."
    )
    assert calibration.left_out == ()
    assert calibration.scores.dtype == np.float32
    assert (calibration.first_frame, calibration.last_frame) == (0, 1_199)


def test_window_keeps_the_frame_numbers_of_the_camera() -> None:
    collected = window(frames=60)
    for index in range(60):
        collected.add(float(scores(60)[index]), heat(index), image(index), frame=1_000 + 2 * index)
    calibration = collected.finish(**origin())
    assert (calibration.first_frame, calibration.last_frame) == (1_000, 1_118)


def test_window_grows_until_the_budget_is_certified() -> None:
    """300 dependent frames do not certify one in a hundred: the window extends itself until they do."""
    values = scores(60_000, correlation=0.9)
    collected = window(frames=300, max_frames=50_000)
    shown = image(0), image(1)
    while not collected.complete:
        collected.add(float(values[collected.count]), heat(0), shown[collected.count % 2])
    assert 1_000 <= collected.count < 20_000
    assert collected.finish(**origin()).threshold.certified


def test_window_does_not_grow_if_that_would_not_help() -> None:
    """No window of 2,000 frames certifies one alarm a day, and 300 independent frames are enough to extrapolate."""
    collected = window(frames=300, max_frames=2_000, budget="1 per day")
    values = scores(300)
    for index in range(300):
        collected.add(float(values[index]), heat(index), image(index))
    assert collected.complete
    assert not collected.finish(**origin()).threshold.certified


def test_window_grows_to_a_fair_sample_where_frames_depend() -> None:
    """300 frames at correlation 0.98 equal a handful of independent ones: too few even to extrapolate from."""
    values = scores(3_000, correlation=0.98)
    collected = window(frames=300, max_frames=2_000, budget="1 per day")
    while not collected.complete:
        collected.add(float(values[collected.count]), heat(0), image(collected.count))
    assert collected.count == 2_000


@pytest.mark.parametrize("share", [0.01, 0.04])
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_window_with_defects_leaves_them_out_and_reports_them(share: float, correlation: float) -> None:
    values = scores(500, correlation=correlation, seed=3)
    bad = np.random.default_rng(0).choice(500, int(share * 500), replace=False)
    values[bad] += 12 * values.std()
    calibration = filled(values).finish(**origin())
    assert {out.index for out in calibration.left_out} == set(bad)
    assert all(
        out.thumbnail_png is not None and out.thumbnail_png.startswith(b"\x89PNG") for out in calibration.left_out
    )
    assert calibration.left_out_cost.startswith(f"{bad.size} images look unlike the rest and were left out. ")
    assert {out.why for out in calibration.left_out} == {"score far above the other images of the window"}
    assert calibration.kept_scores.size == 500 - bad.size
    assert calibration.threshold.value < values[bad].min()


GAMMA_SIGMA = 2.0
"""Standard deviation of the scores of `lines.scores`."""


def in_runs_of_five(frames: int, share: float, seed: int) -> np.ndarray:
    """Return the frames of defects, each of which is visible in five frames."""
    starts = np.random.default_rng(seed).choice(frames // 10, round(frames * share / 5), replace=False) * 10
    return (starts[:, None] + np.arange(5)).ravel()


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_window_with_five_per_cent_of_six_sigma_defects_is_as_good_as_without(correlation: float) -> None:
    """In at least eight of ten windows most defects are left out, and no window is rejected."""
    found = []
    for seed in range(10):
        values, bad = scores(1_000, correlation=correlation, seed=seed), in_runs_of_five(1_000, 0.05, seed)
        values[bad] += 6 * GAMMA_SIGMA
        left_out = {out.index for out in filled(values).finish(**origin()).left_out}
        found.append(len(left_out & set(bad)) / bad.size)
    assert np.count_nonzero(np.array(found) > 0.9) >= 8


def test_window_with_a_hand_in_view_leaves_the_run_out() -> None:
    values = scores(500, seed=4)
    values[200:220] += 10 * values.std()
    calibration = filled(values).finish(**origin())
    assert {out.index for out in calibration.left_out} == set(range(200, 220))


def test_window_with_too_many_suspects_is_rejected_with_their_images() -> None:
    values = scores(400, seed=5)
    bad = np.random.default_rng(0).choice(400, 40, replace=False)
    values[bad] += 12 * values.std()
    with pytest.raises(CalibrationError) as error:
        filled(values).finish(**origin())
    assert str(error.value) == (
        "window: 40 of 400 images look unlike the rest, wanted at most 5%; calibrate again on good parts only"
    )
    assert {index for index, _ in error.value.images} == set(bad)
    assert all(small.dtype == np.uint8 and small.ndim == 3 for _, small in error.value.images)


def test_window_of_equal_scores_is_rejected() -> None:
    with pytest.raises(CalibrationError) as error:
        filled(np.ones(100)).finish(**origin())
    assert str(error.value) == "window: all 100 images score 1, wanted scores that differ (camera frozen?)"
    assert len(error.value.images) == 64


def test_window_nan_score_is_rejected_with_its_image() -> None:
    collected = window(frames=100)
    with pytest.raises(CalibrationError) as error:
        collected.add(float("nan"), heat(0), image(0))
    assert str(error.value) == "window: image 0 has score nan, wanted a finite number"
    assert [index for index, _ in error.value.images] == [0]
    assert collected.count == 0


def test_window_images_that_change_size_are_rejected() -> None:
    collected = window(frames=100)
    collected.add(1.0, heat(0), image(0))
    for other, raw, words in (
        (image(1)[:40], heat(0), "image: got uint8 (40, 64, 1), wanted uint8 (48, 64, 1) as before"),
        (image(1, bits=16), heat(0), "image: got uint16 (48, 64, 1), wanted uint8 (48, 64, 1) as before"),
        (image(1), heat(0, shape=(3, 3)), "heatmap: got shape (3, 3), wanted (12, 16) as before"),
    ):
        with pytest.raises(CalibrationError) as error:
            collected.add(1.0, raw, other)
        assert str(error.value) == words
    assert collected.count == 1


@pytest.mark.parametrize(("frames", "most"), [(10, 100), (300, 200)])
def test_window_of_impossible_length_is_rejected(frames: int, most: int) -> None:
    with pytest.raises(CalibrationError) as error:
        window(frames=frames, max_frames=most)
    assert str(error.value) == (
        f"window: got {frames} frames with a limit of {most}, wanted at least 50 frames and no more than the limit"
    )


def test_window_threshold_is_raised_towards_frames_left_out_that_may_be_good() -> None:
    """Fifty good parts with four frames each, one of them odd: without it the others show hardly any tail."""
    rng = np.random.default_rng(8)
    values = np.repeat(1.0 + 0.3 * rng.standard_normal(50), 4) + 0.1 * rng.standard_normal(200)
    values[100:104] += 4.0
    calibration = filled(values, budget="1 per shift").finish(**origin())
    assert {out.index for out in calibration.left_out} == set(range(100, 104))
    rest = calibrate(
        np.delete(values, range(100, 104)),
        frames_per_second=20.0,
        budget=Budget.parse("1 per shift"),
        rule=calibration.rule,
    )
    assert rest.value < calibration.threshold.value < values[100:104].min()
    assert calibration.threshold.reason == (
        f"{rest.reason}; the threshold was raised halfway to the images left out, which may show good parts; 4 images "
        "left out count as good, because nobody has confirmed them as bad"
    )
    assert calibration.threshold.promised_alarms_per_day > rest.promised_alarms_per_day
    far = np.where(values > 4.0, values + 100.0, values)
    assert filled(far, budget="1 per shift").finish(**origin()).threshold.value == rest.value


def test_window_too_short_for_its_rule_is_rejected() -> None:
    with pytest.raises(CalibrationError, match="at least 100"):
        window(frames=60, rule=Rule(k=3, n=10))


def test_window_empty_is_rejected() -> None:
    with pytest.raises(CalibrationError, match="got 0 good images, wanted at least 50"):
        window().finish(**origin())


def with_rare_kind(frames: int, share: float, seed: int) -> np.ndarray:
    """Return scores of good parts, of which this share is of a kind that scores ten standard deviations higher."""
    return scores(frames, seed=seed) + 10 * GAMMA_SIGMA * (np.random.default_rng(seed).random(frames) < share)


def test_window_with_a_rare_kind_of_good_part_is_not_certified() -> None:
    """The kind is left out, and one part in thirty would alarm: that is three times the budget."""
    for seed in range(20):
        values = with_rare_kind(1_000, 0.03, seed)
        calibration = filled(values).finish(**origin())
        number = len(calibration.left_out)
        assert number >= 15, "the case is about kinds that are left out"
        rest = calibrate(
            calibration.kept_scores, frames_per_second=20.0, budget=calibration.budget, rule=calibration.rule
        )
        assert rest.certified, "without it, the others would be certified"
        threshold = calibration.threshold
        assert not threshold.certified
        assert threshold.reason.startswith(
            f"{number} images left out count as good, because nobody has confirmed them as bad: with "
        )
        assert threshold.frames_needed is not None
        assert "cannot promise that" in calibration.promise
        later = with_rare_kind(20_000, 0.03, 1_000 + seed)
        realised = np.mean(later > threshold.value) * 20 * 86_400
        assert threshold.promised_alarms_per_day >= 0.95 * realised, "the highest rate covers the rare kind"


def test_window_with_few_images_left_out_keeps_a_certificate_that_covers_them() -> None:
    """One odd image in 3,000: even if it is good, the budget of one in a hundred is kept."""
    values = scores(3_000)
    values[100] += 20 * GAMMA_SIGMA
    calibration = filled(values).finish(**origin())
    assert [out.index for out in calibration.left_out] == [100]
    assert calibration.threshold.certified
    assert calibration.threshold.value < values[100]
    per_frame = calibration.threshold.promised_alarms_per_day / (20 * 86_400)
    assert per_frame <= 0.01


def collect(collected: Window, values: np.ndarray) -> Window:
    """Add these scores until the window is complete."""
    while not collected.complete:
        collected.add(float(values[collected.count]), heat(collected.count), image(collected.count))
    return collected


@pytest.mark.parametrize("bad", [[20], [3, 49], [10, 30, 50]])
@pytest.mark.parametrize("most", [50, 3_000])
def test_window_of_the_shortest_length_takes_a_frame_more_for_each_left_out(bad: list[int], most: int) -> None:
    """Even a bad frame among the added ones is made up for."""
    values = np.random.default_rng(1).normal(10.0, 1.0, 400)
    values[bad] += 80.0
    collected = collect(window(frames=50, max_frames=most, budget="1 per week"), values)
    calibration = collected.finish(**origin())
    assert {out.index for out in calibration.left_out} >= set(bad)
    assert calibration.kept_scores.size >= 50
    assert calibration.threshold.value < 80.0


def test_window_as_short_as_its_rule_allows_takes_a_frame_more_for_each_left_out() -> None:
    values = np.random.default_rng(2).normal(10.0, 1.0, 400)
    values[40] += 80.0
    collected = collect(window(frames=100, rule=Rule(k=3, n=10)), values)
    assert collected.count == 101
    assert collected.finish(**origin()).kept_scores.size == 100


def test_window_of_the_shortest_length_with_too_many_suspects_does_not_grow() -> None:
    values = np.random.default_rng(3).normal(10.0, 1.0, 50)
    values[::10] += 80.0
    with pytest.raises(CalibrationError, match="5 of 50 images look unlike the rest"):
        filled(values).finish(**origin())


def test_images_left_out_are_shown_between_the_levels_of_the_source() -> None:
    """An image of 12 bits with a dead pixel was black in the report."""
    cv2 = pytest.importorskip("cv2")
    values = scores(300)
    values[[7, 9]] += 40
    collected = window(frames=values.size)
    for index, value in enumerate(values):
        shown = image(index, bits=12)
        shown[2, 2] = 65_535
        collected.add(float(value), heat(index), shown)
    source = SourceReference(48, 64, black=0, white=4095)
    left_out = collected.finish(**origin(), source=source).left_out
    thumbnail = cv2.imdecode(np.frombuffer(left_out[0].thumbnail_png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert thumbnail.mean() == pytest.approx(0.4 * 255, abs=5)
