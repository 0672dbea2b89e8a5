"""What a threshold promises, in words that need no statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.budget import Budget
from calibration.episodes import EpisodeCounts
from calibration.rule import Rule
from calibration.threshold import Threshold


def promise(threshold: Threshold, *, budget: Budget, confidence: float) -> str:
    """Return one sentence for the person at the line.

    >>> from calibration.threshold import calibrate
    >>> scores = np.random.default_rng(0).gamma(4.0, size=5000)
    >>> budget = Budget(alarms=1, per_frames=100)
    >>> threshold = calibrate(scores, frames_per_second=0.1, budget=budget)
    >>> promise(threshold, budget=budget, confidence=0.95)[:77]
    'On good parts this line will raise at most 3.6 alarms per hour (budget: 1 per'
    """
    most = rate_in_words(threshold.promised_alarms_per_day)
    if threshold.certified:
        return (
            f"On good parts this line will raise at most {most} (budget: {budget}), which the window certifies "
            f"with {confidence:.0%} confidence."
        )
    expected = rate_in_words(threshold.expected_alarms_per_day)
    return (
        f"On good parts expect about {expected}, which the window cannot certify: with {confidence:.0%} confidence it "
        f"promises no better than {most}; {threshold.frames_needed:,} good frames would certify {budget}."
    )


def cost_of_leaving_out(
    scores: NDArray[np.float64], threshold: Threshold, *, rule: Rule, quiet_frames: int, left_out: int
) -> str:
    """Say what the promise is worth should the frames left out have been good ones; empty where none was."""
    if not left_out:
        return ""
    episodes = EpisodeCounts(rule.statistic(scores), quiet_frames=quiet_frames).at(threshold.value)
    more = max(0, episodes - threshold.episodes)
    per_day = threshold.expected_alarms_per_day * (episodes + 0.5) / (threshold.episodes + 0.5)
    return (
        f"The promise holds if the {_many(left_out, 'frame')} left out showed no good parts; otherwise they would have "
        f"raised {_many(more, 'alarm')} within the window, and good parts would raise about {rate_in_words(per_day)}."
    )


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def rate_in_words(per_day: float) -> str:
    """Return a rate in the unit that makes it a number between about 1 and 100.

    >>> rate_in_words(3.0), rate_in_words(0.01), rate_in_words(480.0), rate_in_words(1.0)
    ('3 alarms per day', '3.6 alarms per year', '20 alarms per hour', '1 alarm per day')
    """
    units = (("minute", 1440.0, 1440 * 2.0), ("hour", 24.0, 24 * 2.0), ("day", 1.0, 0.8), ("week", 1 / 7, 0.1))
    name, days = next(((name, each) for name, each, least in units if per_day >= least), ("year", 1 / 365))
    value = per_day / days
    text = f"{value:.0f}" if value >= 10 else f"{value:.2g}"
    return f"{text} alarm{'' if text == '1' else 's'} per {name}"
