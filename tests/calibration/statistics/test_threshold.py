"""Thresholds keep their promise on lines whose true rate is known, and give their reasons in plain sentences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import bdtr, gammaincc, ndtr, stdtr, stdtrit

from calibration import Budget, CalibrationError, Rule, Threshold, calibrate
from calibration.statistics.episodes import EpisodeCounts
from tests.calibration.lines import gaussian as lines
from tests.calibration.lines import scores

PER_100 = Budget(alarms=1, per_frames=100)


def found(values: np.ndarray, **settings: object) -> Threshold:
    settings = {"frames_per_second": 20.0, "budget": PER_100, **settings}
    return calibrate(values, **settings)  # type: ignore[arg-type]


def realised(threshold: float, rule: Rule, *, correlation: float, frames: int = 1_000_000) -> float:
    """Return alarm episodes per frame on fresh data."""
    return EpisodeCounts(rule.statistic(scores(frames, correlation=correlation, seed=999))).at(threshold) / frames


def heavy(gaussian: np.ndarray) -> np.ndarray:
    """Return Student t scores with 5 degrees of freedom."""
    return -stdtrit(5, ndtr(-gaussian))


@pytest.mark.parametrize(("correlation", "frames"), [(0.0, 1_500), (0.9, 6_000), (0.98, 12_000)])
@pytest.mark.parametrize("rule", [Rule(k=1, n=1), Rule(k=3, n=5)], ids=str)
def test_calibrate_certified_thresholds_keep_the_budget(correlation: float, frames: int, rule: Rule) -> None:
    """In at least 90 % of 40 lines, as specified; 95 % on independent frames."""
    lines = [found(scores(frames, correlation=correlation, seed=seed), rule=rule) for seed in range(40)]
    values = np.array([line.value for line in lines if line.certified])
    assert values.size >= 20
    statistic = rule.statistic(scores(1_000_000, correlation=correlation, seed=999))
    rates = EpisodeCounts(statistic).at_levels(values) / statistic.size
    assert np.mean(rates <= 0.01) >= (0.95 if correlation == 0 else 0.90)


def test_calibrate_certifies_if_an_oracle_needs_a_quarter_of_the_window() -> None:
    """Twelve budget spans of independent frames: an oracle needs three."""
    assert all(found(scores(1_200, seed=seed)).certified for seed in range(40))


@pytest.mark.parametrize("rule", [Rule(k=1, n=1), Rule(k=3, n=5)], ids=str)
def test_calibrate_ten_spans_of_dependent_frames_are_certified(rule: Rule) -> None:
    """They equal 333 independent frames, and 9 spans by their dispersion."""
    assert all(found(scores(1_000, correlation=0.5, seed=seed), rule=rule).certified for seed in range(20))


def test_calibrate_certified_level_of_dependent_frames_uses_the_budget() -> None:
    """30 spans at correlation 0.9: the median level realises over 0.42 of the budget (0.61 if D were known)."""
    statistic = scores(1_000_000, correlation=0.9, seed=999)
    lines_found = [found(scores(3_000, correlation=0.9, seed=seed)) for seed in range(40)]
    values = np.array([line.value for line in lines_found if line.certified])
    assert np.median(EpisodeCounts(statistic).at_levels(values) / statistic.size) > 0.0042


@pytest.mark.parametrize("budget", ["1 per 1000 frames", "1 per hour", "1 per week"])
@pytest.mark.parametrize("values", [scores(100), scores(300, correlation=0.9)], ids=["100 frames", "dependent"])
def test_calibrate_beyond_the_window_sets_the_level_for_the_budget(values: np.ndarray, budget: str) -> None:
    """The best guess meets the budget, also where defects stay below such a level: no budget is disregarded."""
    allowed = Budget.parse(budget)
    line = found(values, budget=allowed)
    assert not line.certified
    assert line.expected_alarms_per_day == pytest.approx(allowed.per_day(frames_per_second=20.0), rel=0.05)


def test_calibrate_best_guess_is_within_a_factor_of_two_of_the_realised_rate() -> None:
    """Gamma scores, 100, 300 and 1,000 frames: the median of 40 lines, and from 300 frames on their mean too."""
    budget = Budget(alarms=1, per_frames=1_000)
    for frames in (100, 300, 1_000):
        rates = [gammaincc(4.0, found(scores(frames, seed=seed), budget=budget).value) for seed in range(40)]
        assert 0.5 < np.median(rates) * 1_000 < 2.0
        if frames >= 300:
            assert np.mean(rates) * 1_000 < 2.0


def evenly(chance: np.random.Generator) -> np.ndarray:
    """Return 200 scores that end at 1."""
    return chance.random(200)


def rare_kind(chance: np.random.Generator) -> np.ndarray:
    """Return 200 scores of two kinds of part: one in twenty scores twice as high, all of that kind about the same."""
    return np.where(chance.random(200) < 0.05, chance.normal(2.0, 0.01, 200), chance.normal(1.0, 0.1, 200))


@pytest.mark.parametrize("draw", [evenly, rare_kind])
def test_calibrate_best_guess_of_scores_that_end_is_that_of_the_counts(
    draw: Callable[[np.random.Generator], np.ndarray],
) -> None:
    """The tail alone guessed seven times the realised rate of the first, and nothing of the second was above it."""
    chance = np.random.default_rng(0)
    fresh = np.concatenate([draw(chance) for _ in range(500)])
    lines_found = [found(draw(chance), parts=True) for _ in range(100)]
    rates = np.array([np.mean(fresh > line.value) for line in lines_found])
    expected = np.array([line.expected_alarms_per_day for line in lines_found]) / (20.0 * 86_400)
    assert 0.5 < rates.mean() / expected.mean() < 2
    assert 0.5 < np.median(rates / expected) < 2
    kept = rates <= np.array([line.promised_alarms_per_day for line in lines_found]) / (20.0 * 86_400)
    assert kept.mean() >= 0.95
    counted = next(line for line in lines_found if line.method == "conformal")
    assert (counted.certified, "extrapolated" in counted.reason) == (False, False)


def test_calibrate_299_independent_parts_certify_one_in_a_hundred() -> None:
    """Wilks (1941): with probability 0.95 at least 99 % of the population is below the highest of 299."""
    line = found(scores(299), parts=True)
    assert line.certified
    assert (line.value, line.episodes) == (scores(299).max(), 0)
    assert not found(scores(298), parts=True).certified
    assert found(scores(298), parts=True).frames_needed == 299
    assert not found(scores(299)).certified


@pytest.mark.parametrize("frames", [299, 1_000, 3_000])
def test_calibrate_certified_parts_keep_the_budget_with_the_confidence(frames: int) -> None:
    """In 95 % of 400 lines, less three standard errors; the level is the lowest order statistic that does."""
    rates = []
    for seed in range(400):
        line = found(np.random.default_rng(seed).gamma(4.0, size=frames), parts=True)
        if line.certified:
            rates.append(gammaincc(4.0, line.value))
        above = line.episodes
        if line.effective_sample_size == frames:
            assert bdtr(above, frames, 0.01) <= 0.05 < bdtr(above + 1, frames, 0.01)
    assert len(rates) >= 390
    assert np.mean(np.array(rates) <= 0.01) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(rates))


def test_calibrate_parts_that_depend_on_each_other_get_no_exact_limit() -> None:
    """A batch of parts is alike: its order shows it, and the window counts as fewer parts."""
    for seed in range(20):
        line = found(scores(299, correlation=0.5, seed=seed), parts=True)
        assert not line.certified
        assert line.effective_sample_size < 299


@pytest.mark.parametrize("frames", [1_000, 10_000])
def test_calibrate_promise_beyond_the_window_holds_on_heavy_tails(frames: int) -> None:
    """Student t with 5 degrees, outside the benchmark, at correlation 0.5: kept in 95 % of 60 lines."""
    kept = []
    for seed in range(60):
        line = found(heavy(lines(frames, correlation=0.5, seed=seed)), budget=Budget.parse("1 per day"))
        kept.append(stdtr(5, -line.value) * 20 * 86_400 <= line.promised_alarms_per_day)
    assert np.mean(kept) >= 0.95


def test_calibrate_strongly_dependent_frames_are_not_certified_and_keep_the_promise() -> None:
    """1,000 frames at correlation 0.98 equal ten independent ones, where a plain quantile fails."""
    lines = [found(scores(1_000, correlation=0.98, seed=seed)) for seed in range(20)]
    assert not any(line.certified for line in lines)
    assert np.median([line.effective_sample_size for line in lines]) < 40
    promised = [line.promised_alarms_per_day / (20 * 86_400) for line in lines]
    rates = [realised(line.value, Rule(k=1, n=1), correlation=0.98) for line in lines]
    assert np.mean(np.array(rates) <= np.array(promised)) >= 0.8


def test_calibrate_beyond_the_window_estimates_the_frames_needed() -> None:
    line = found(scores(2_000), budget=Budget.parse("1 per shift"))
    assert (line.certified, line.method) == (False, "peaks over threshold")
    assert line.frames_needed is not None
    assert line.frames_needed > 8 * 3600 * 20 * 3
    assert line.promised_alarms_per_day > 3.0
    assert line.value > 10
    assert f"{line.frames_needed:,}" in line.reason
    assert "\n" not in line.reason


def test_calibrate_a_window_of_the_frames_needed_is_certified() -> None:
    budget = Budget(alarms=1, per_frames=500)
    for seed in range(5):
        short = found(scores(1_000, correlation=0.5, seed=seed), budget=budget)
        assert short.frames_needed is not None
        assert found(scores(short.frames_needed, correlation=0.5, seed=seed), budget=budget).certified


def test_calibrate_certified_promise_keeps_the_budget() -> None:
    line = found(scores(5_000))
    assert line.certified
    assert line.frames_needed is None
    assert line.promised_alarms_per_day <= PER_100.per_day(frames_per_second=20.0)
    assert line.expected_alarms_per_day < line.promised_alarms_per_day


def test_calibrate_more_confidence_costs_height() -> None:
    values = scores(5_000)
    assert found(values, confidence=0.5).value < found(values, confidence=0.99).value


def test_calibrate_longer_quiet_time_never_raises_the_threshold() -> None:
    values = scores(20_000, correlation=0.9)
    assert found(values, quiet_frames=40).value <= found(values).value


@pytest.mark.parametrize("budget", ["1 per 100 frames", "1 per day"])
def test_calibrate_quiet_time_longer_than_the_window_works(budget: str) -> None:
    line = found(scores(300), quiet_frames=1_000, budget=Budget.parse(budget))
    assert 5 < line.value < 100


def test_calibrate_one_odd_frame_among_equal_ones_works() -> None:
    """The 2-of-3 statistic never changes; the threshold is its value."""
    values = np.ones(300)
    values[100] = 2.0
    line = found(values, rule=Rule(k=2, n=3), budget=Budget.parse("1 per day"))
    assert 1.0 <= line.value < 1.001
    assert not line.certified


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_calibrate_follows_the_units_of_the_scores(scale: float) -> None:
    values = scores(2_000)
    for budget in (PER_100, Budget.parse("1 per day")):
        assert found(values * scale, budget=budget).value == pytest.approx(found(values, budget=budget).value * scale)


def test_calibrate_rounded_scores_with_many_ties_work() -> None:
    line = found(np.round(scores(3_000), 1))
    assert line.certified
    assert np.isfinite(found(np.round(scores(300)), budget=Budget.parse("1 per day")).value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.ones(300), "scores: all 300 are 1, wanted scores that differ (camera frozen?)"),
        (np.r_[np.arange(200.0), np.nan], "scores: 1 are not finite numbers, wanted none"),
        (np.r_[np.arange(200.0), np.inf, np.nan], "scores: 2 are not finite numbers, wanted none"),
        (np.arange(49.0), "calibration: got 49 good images, wanted at least 50"),
        (np.zeros((10, 30)), "scores: got shape (10, 30), wanted one row of at least 50"),
    ],
)
def test_calibrate_bad_scores_are_one_clear_line(values: np.ndarray, words: str) -> None:
    with pytest.raises(CalibrationError) as error:
        found(values)
    assert str(error.value) == words


@pytest.mark.parametrize(
    ("values", "budget", "reason"),
    [
        (
            scores(5_000),
            "1 per 100 parts",
            "36 alarms in 5,000 parts: few enough to promise at most 1 false alarm per 100 parts, with 95% confidence",
        ),
        (
            scores(300, seed=1),
            "1 per 10000 parts",
            "300 parts are too few to promise at most 1 false alarm per 10,000 parts; the threshold is extrapolated; "
            "about 71,000 good parts would be enough",
        ),
        (
            scores(300),
            "1 per shift",
            "300 images are too few to promise at most 1 false alarm per shift; the threshold is extrapolated; "
            "about 4,300,000 good images (2.5 days of running) would be enough",
        ),
        (
            scores(1_000, correlation=0.9),
            "1 per hour",
            "only 51 of 1,000 images count, because successive images are alike: too few to promise at most 1 false "
            "alarm per hour; the threshold is extrapolated; about 1,300,000 good images (18 hours of running) would "
            "be enough",
        ),
    ],
    ids=["certified", "extrapolated, in parts", "extrapolated, in time", "dependent"],
)
def test_calibrate_reason_is_one_plain_sentence(values: np.ndarray, budget: str, reason: str) -> None:
    assert found(values, budget=Budget.parse(budget)).reason == reason


@pytest.mark.parametrize(
    ("frames_per_second", "time"),
    [(100.0, "7.4 seconds"), (1.0, "12 minutes"), (0.1, "2.1 hours"), (0.001, "8.6 days")],
)
def test_calibrate_reason_gives_the_running_time_in_a_fitting_unit(frames_per_second: float, time: str) -> None:
    budget = Budget(alarms=1, per_seconds=100 / frames_per_second)
    assert f"({time} of running)" in found(scores(300), budget=budget, frames_per_second=frames_per_second).reason


@pytest.mark.parametrize(
    "settings", [{"frames_per_second": 0.0}, {"confidence": 1.0}, {"confidence": 0.1}, {"quiet_frames": -1}]
)
def test_calibrate_impossible_settings_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(CalibrationError, match=next(iter(settings))):
        found(scores(300), **settings)
