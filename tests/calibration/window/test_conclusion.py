"""Which images count for the level of a window and for its limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from calibration import Budget, Rule
from calibration.budgets import SECONDS_PER_DAY
from calibration.statistics import most_kept_out, suspected_frames
from calibration.window.conclusion import Conclusion, Terms, conclude

TERMS = Terms(Rule(1, 1), Budget.parse("1 per 100 parts"), 20.0, 0.95, 0, parts=True)
PER_DAY = 20.0 * SECONDS_PER_DAY

KeptOut = list[tuple[int, float]]


def censored(scores: np.ndarray, level: float) -> tuple[np.ndarray, KeptOut]:
    """The window of a line whose images above `level` are kept out."""
    above = scores > level
    places = np.cumsum(~above)[above]
    return scores[~above], list(zip(places.tolist(), scores[above].tolist(), strict=True))


def concluded(scores: np.ndarray, kept_out: KeptOut) -> Conclusion:
    return conclude(TERMS, scores, np.zeros(scores.size, dtype=bool), kept_out, confirmed=False)


@pytest.mark.parametrize("drift", [1.0, 1.1])
@pytest.mark.parametrize("frames", [150, 300])
def test_the_rates_of_a_line_that_is_recalibrated_without_fresh_are_kept(drift: float, frames: int) -> None:
    """The scores of its good parts are a tenth higher, and those above the old threshold are kept out."""
    rng = np.random.default_rng(4)
    old = float(np.quantile(rng.gamma(9.0, size=100_000), 0.99))
    known = np.sort(drift * rng.gamma(9.0, size=400_000))
    kept, ratios = [], []
    for _ in range(120):
        scores, kept_out = censored(drift * rng.gamma(9.0, size=frames), old)
        if not kept_out:
            continue  # a window like any other
        threshold = concluded(scores, kept_out).threshold
        realised = 1 - np.searchsorted(known, threshold.value) / known.size
        kept.append(realised <= threshold.promised_alarms_per_day / PER_DAY)
        ratios.append(realised / (threshold.expected_alarms_per_day / PER_DAY))
    assert np.mean(kept) >= 0.95 - 2 * math.sqrt(0.05 * 0.95 / len(kept))
    assert 0.5 <= np.median(ratios) <= 2.0


@pytest.mark.parametrize("rate", [0.05, 0.08, 0.1])
def test_limits_hold_for_the_windows_that_were_not_rejected(rate: float) -> None:
    """Of lines whose scores have risen, most windows of 100 are rejected, and the others kept out few by chance."""
    rng = np.random.default_rng(5)
    known = np.sort(rng.gamma(9.0, size=400_000))
    old = float(np.quantile(known, 1 - rate))
    kept = []
    while len(kept) < 150:
        taken = rng.gamma(9.0, size=120)
        scores, kept_out = censored(taken, old)
        scores, kept_out = scores[:100], [each for each in kept_out if each[0] <= 100]
        if not 0 < len(kept_out) <= most_kept_out(100):
            continue
        threshold = concluded(scores, kept_out).threshold
        realised = 1 - np.searchsorted(known, threshold.value) / known.size
        kept.append(realised <= threshold.promised_alarms_per_day / PER_DAY)
    assert np.mean(kept) >= 0.95


def test_kept_out_images_raise_the_rates_and_leave_the_level() -> None:
    scores = np.random.default_rng(0).gamma(9.0, size=400)
    without = concluded(scores, []).threshold
    found = concluded(scores, [(5, 50.0), (100, 60.0), (100, 70.0), (400, 55.0)])
    threshold = found.threshold
    assert without.certified
    assert not threshold.certified
    assert threshold.value == without.value
    assert threshold.promised_alarms_per_day > 1.5 * without.promised_alarms_per_day
    assert threshold.expected_alarms_per_day > 2 * without.expected_alarms_per_day
    assert found.if_bad == without
    assert threshold.reason.startswith(
        "4 images were kept out for an alarm under the threshold in force and count as good: if they "
    )


def test_images_that_a_person_confirmed_as_bad_count_no_more() -> None:
    scores = np.random.default_rng(1).gamma(9.0, size=400)
    left_out = np.isin(np.arange(400), scores.argsort()[-4:])
    confirmed = conclude(TERMS, scores, left_out, [(7, 40.0)], confirmed=True).threshold
    unconfirmed = conclude(TERMS, scores, left_out, [(7, 40.0)], confirmed=False).threshold
    assert confirmed.promised_alarms_per_day < unconfirmed.promised_alarms_per_day
    assert confirmed.expected_alarms_per_day < unconfirmed.expected_alarms_per_day


@pytest.mark.parametrize("frames", [100, 300, 1_000])
@pytest.mark.parametrize("budget", ["1 per 100 parts", "1 per 1000 parts"])
def test_the_best_guess_counts_a_rare_kind_that_is_left_out(budget: str, frames: int) -> None:
    """3 % of the good parts score four times as high; nobody has looked at them."""
    terms, rng = replace(TERMS, budget=Budget.parse(budget)), np.random.default_rng(5)

    def parts(count: int) -> np.ndarray:
        return rng.gamma(9.0, size=count) + np.where(rng.random(count) < 0.03, 40.0, 0.0)

    known, ratios = np.sort(parts(400_000)), []
    for _ in range(30):
        scores = parts(frames)
        left_out, _ = suspected_frames(scores)
        if left_out.any():
            threshold = conclude(terms, scores, left_out, [], confirmed=False).threshold
            realised = 1 - np.searchsorted(known, threshold.value) / known.size
            ratios.append(realised / (threshold.expected_alarms_per_day / PER_DAY))
    assert len(ratios) >= 15, "the case is about images that are left out"
    assert 0.5 <= np.median(ratios) <= 2.0
