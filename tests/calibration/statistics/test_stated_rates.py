"""The promise in sentences: exact words and figures for every branch, always in the unit of the budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Budget, Rule, Threshold
from calibration.statistics.episodes import EpisodeCounts
from calibration.statistics.stated_rates import StatedRates, cost_of_leaving_out, promise
from tests.calibration.lines import scores


def threshold(*, certified: bool, likely: float, worst: float, frames: int = 300, value: float = 9.0) -> Threshold:
    """A threshold with these rates in alarms per day of a line at 20 frames per second."""
    return Threshold(
        value=value,
        method="conformal" if certified else "peaks over threshold",
        promised_alarms_per_day=worst,
        effective_sample_size=frames,
        certified=certified,
        frames_needed=None if certified else 1_000_000,
        reason="",
        expected_alarms_per_day=likely,
        dispersion=1.0,
        episodes=1,
        frames=frames,
    )


def sentence(made: Threshold, budget: str, confidence: float = 0.95) -> str:
    return promise(made, budget=Budget.parse(budget), frames_per_second=20.0, confidence=confidence)


PER_10000 = 20 * 86_400 / 10_000
"""Alarms per day that are one in 10,000 frames."""


def test_promise_not_certified_says_so_in_the_unit_of_the_budget() -> None:
    made = threshold(certified=False, likely=54.0, worst=9_870.0, frames=30_000)
    assert sentence(made, "1 per shift") == (
        "You asked for at most 1 false alarm per shift. 30,000 images cannot promise that. "
        "Likely: 18 per shift; at worst 3,300 (95% confidence)."
    )


def test_promise_states_no_best_guess_that_the_window_cannot_carry() -> None:
    """At 18 per shift a window of 300 images would hold one false alarm in a hundred windows."""
    made = threshold(certified=False, likely=54.0, worst=9_870.0, frames=300)
    assert sentence(made, "1 per shift") == (
        "You asked for at most 1 false alarm per shift. 300 images can neither promise that nor tell how many to "
        "expect. At worst 3,300 per shift (95% confidence)."
    )
    assert not StatedRates.of(made, budget=Budget.parse("1 per shift"), frames_per_second=20.0).carried


def test_promise_certified_gives_the_confidence() -> None:
    made = threshold(certified=True, likely=1.84, worst=2.96, frames=5_000_000)
    assert sentence(made, "1 per shift", confidence=0.999) == (
        "You asked for at most 1 false alarm per shift. 5,000,000 images are enough to promise that, with 99.9% "
        "confidence. Likely: 0.61 per shift; at worst 0.99."
    )


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (
            "2 per day",
            "You asked for at most 2 false alarms per day. 30,000 images cannot promise that. "
            "Likely: 17 per day; at worst 3,500 (95% confidence).",
        ),
        (
            "0.5 per week",
            "You asked for at most 0.5 false alarms per week. 30,000 images cannot promise that. "
            "Likely: 120 per week; at worst 25,000 (95% confidence).",
        ),
        (
            "1 per 4 hours",
            "You asked for at most 1 false alarm per 4 hours. 30,000 images cannot promise that. "
            "Likely: 2.9 per 4 hours; at worst 580 (95% confidence).",
        ),
        (
            "1 per 10000 parts",
            "You asked for at most 1 false alarm per 10,000 parts. 30,000 parts cannot promise that. "
            "Likely: 0.1 per 10,000 parts; at worst 20 (95% confidence).",
        ),
        (
            "1 per 1000 frames",
            "You asked for at most 1 false alarm per 1,000 frames. 30,000 frames cannot promise that. "
            "Likely: 0.01 per 1,000 frames; at worst 2 (95% confidence).",
        ),
        (
            "1 per 500 pictures",
            "You asked for at most 1 false alarm per 500 images. 30,000 images cannot promise that. "
            "Likely: 0.005 per 500 images; at worst 1 (95% confidence).",
        ),
    ],
)
def test_promise_of_one_line_in_the_unit_of_every_budget(budget: str, words: str) -> None:
    made = threshold(certified=False, likely=0.1 * PER_10000, worst=20 * PER_10000, frames=30_000)
    assert sentence(made, budget) == words


def test_stated_rates_round_the_limit_up_but_never_beyond_a_certified_budget() -> None:
    budget = Budget.parse("1.25 per day")
    certified = StatedRates.of(threshold(certified=True, likely=0.9, worst=1.24), budget=budget, frames_per_second=20.0)
    extrapolated = StatedRates.of(
        threshold(certified=False, likely=0.9, worst=1.24), budget=budget, frames_per_second=20.0
    )
    assert (certified.likely_text, certified.worst_text) == ("0.9", "1.25")
    assert extrapolated.worst_text == "1.3"


def test_stated_rates_are_at_most_one_alarm_per_frame() -> None:
    budget = Budget.parse("1 per 100 parts")
    rates = StatedRates.of(threshold(certified=False, likely=9e9, worst=9e9), budget=budget, frames_per_second=20.0)
    assert (rates.likely, rates.worst_text) == (100.0, "100")


def test_stated_rates_next_to_nothing_are_not_zero() -> None:
    budget = Budget.parse("1 per shift")
    rates = StatedRates.of(threshold(certified=False, likely=1e-6, worst=1e-5), budget=budget, frames_per_second=20.0)
    assert (rates.likely_text, rates.worst_text) == ("under 0.001", "under 0.001")


def cost(values: NDArray[np.float64], stated: Threshold, if_bad: Threshold, *, rule: Rule, left_out: int) -> str:
    """The cost for a line of 20 frames a second that may have a false alarm in a shift."""
    budget = Budget.parse("1 per shift")
    return cost_of_leaving_out(
        values, stated, if_bad, rule=rule, budget=budget, frames_per_second=20.0, quiet_frames=1, left_out=left_out
    )


@pytest.mark.parametrize(
    ("suspects", "words"),
    [
        ((), ""),
        (
            (100,),
            "1 image looks unlike the rest and was left out. With it, the window has 1 more alarm, which counts as "
            "false until a person has looked. If it shows a bad part, the likely rate is 18 per shift instead of 30.",
        ),
        (
            (100, 200, 201),
            "3 images look unlike the rest and were left out. With them, the window has 2 more alarms, which count as "
            "false until a person has looked. If they show bad parts, the likely rate is 18 per shift instead of 30.",
        ),
    ],
)
def test_cost_of_leaving_out_counts_the_alarms(suspects: tuple[int, ...], words: str) -> None:
    values = np.minimum(scores(300), 8.0)
    values[[50, *suspects]] = 20.0
    kept = np.delete(values, suspects)
    assert EpisodeCounts(kept).at(9.0) == 1
    if_bad = threshold(certified=False, likely=54.0, worst=9_870.0, frames=30_000)
    found = cost(
        values, replace(if_bad, expected_alarms_per_day=90.0), if_bad, rule=Rule(k=1, n=1), left_out=len(suspects)
    )
    assert found == words


def test_cost_of_leaving_out_frames_that_alarm_only_with_others_is_none() -> None:
    """One odd image never is 2 of 3."""
    values = np.minimum(scores(300), 8.0)
    values[[50, 51, 100]] = 20.0
    made = threshold(certified=False, likely=54.0, worst=9_870.0, frames=299)
    found = cost(values, made, made, rule=Rule(k=2, n=3), left_out=1)
    assert found == (
        "1 image looks unlike the rest and was left out. With it, the window has no more alarms than without."
    )


def test_cost_of_leaving_out_states_no_best_guess_that_the_window_cannot_carry() -> None:
    values = np.minimum(scores(300), 8.0)
    values[100] = 20.0
    if_bad = threshold(certified=False, likely=54.0, worst=9_870.0, frames=299)
    found = cost(
        values, replace(if_bad, expected_alarms_per_day=9_000.0, episodes=0), if_bad, rule=Rule(k=1, n=1), left_out=1
    )
    assert found.endswith("If it shows a bad part, the window is too short for a best guess.")
