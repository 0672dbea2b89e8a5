"""Which images count for the level of a window and for its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calibration import Budget, Rule, Threshold
from calibration.budgets import SECONDS_PER_DAY
from calibration.window.conclusion import KeptOut, Terms, conclude

TERMS = Terms(Rule(1, 1), Budget.parse("1 per 100 parts"), 20.0, 0.95, 0, parts=True)
PER_DAY = 20.0 * SECONDS_PER_DAY


def censored(scores: np.ndarray, level: float) -> tuple[np.ndarray, KeptOut]:
    """The window of a line whose images above `level` are kept out."""
    above = scores > level
    places = np.cumsum(~above)[above]
    return scores[~above], KeptOut(places.tolist(), scores[above].tolist())


def concluded(scores: np.ndarray, kept_out: KeptOut) -> Threshold:
    return conclude(TERMS, scores, np.zeros(scores.size, dtype=bool), kept_out, confirmed=False)


@pytest.mark.parametrize("drift", [1.0, 1.1])
@pytest.mark.parametrize("frames", [150, 300])
def test_the_limit_of_a_line_that_is_recalibrated_without_fresh_is_kept(drift: float, frames: int) -> None:
    """The scores of its good parts are a tenth higher, and those above the old threshold are kept out."""
    rng = np.random.default_rng(4)
    old = float(np.quantile(rng.gamma(9.0, size=100_000), 0.99))
    known = np.sort(drift * rng.gamma(9.0, size=400_000))
    kept = []
    for _ in range(120):
        scores, kept_out = censored(drift * rng.gamma(9.0, size=frames), old)
        if not kept_out.scores:
            continue  # a window like any other
        threshold = concluded(scores, kept_out)
        realised = 1 - np.searchsorted(known, threshold.value) / known.size
        kept.append(realised <= threshold.promised_alarms_per_day / PER_DAY)
    assert np.mean(kept) >= 0.95 - 2 * math.sqrt(0.05 * 0.95 / len(kept))


def test_kept_out_images_raise_the_limit_and_leave_the_level() -> None:
    scores = np.random.default_rng(0).gamma(9.0, size=400)
    without = concluded(scores, KeptOut())
    threshold = concluded(scores, KeptOut([5, 100, 100, 400], [50.0, 60.0, 70.0, 55.0]))
    assert without.certified
    assert not threshold.certified
    assert threshold.value == without.value
    assert threshold.promised_alarms_per_day > 1.5 * without.promised_alarms_per_day
    assert threshold.reason.startswith("4 images were kept out for an alarm under the threshold in force: if they ")


def test_images_that_a_person_confirmed_as_bad_count_no_more() -> None:
    scores = np.random.default_rng(1).gamma(9.0, size=400)
    bad = scores.argsort()[-4:]
    left_out = np.isin(np.arange(400), bad)
    confirmed = conclude(TERMS, scores, left_out, KeptOut([7], [40.0]), confirmed=True)
    unconfirmed = conclude(TERMS, scores, left_out, KeptOut([7], [40.0]), confirmed=False)
    assert confirmed.promised_alarms_per_day < unconfirmed.promised_alarms_per_day


def test_images_kept_out_are_put_back_in_the_order_of_capture() -> None:
    kept_out = KeptOut([0, 2, 2, 3], [10.0, 11.0, 12.0, 13.0])
    scores, counted = np.array([1.0, 2.0, 3.0]), np.array([True, False, True])
    assert kept_out.among(scores, counted).tolist() == [10.0, 1.0, 11.0, 12.0, 3.0, 13.0]
