"""A threshold from images of single parts."""

from __future__ import annotations

import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.tools.part_threshold import part_calibrator
from calibration import Budget, calibrate


def test_threshold_is_the_agents_own_calibration() -> None:
    scores = np.random.default_rng(0).gamma(4.0, size=400).astype(np.float32)
    wanted = calibrate(scores, frames_per_second=1.0, budget=Budget(alarms=1, per_frames=100)).value
    assert part_calibrator("1 per 100 parts")(scores) == wanted


@pytest.mark.parametrize("scores", [np.ones(49, np.float32), np.ones(80, np.float32)])
def test_too_few_or_equal_scores_give_no_threshold(scores: np.ndarray) -> None:
    assert part_calibrator("1 per 100 parts")(scores) is None


@pytest.mark.parametrize(("budget", "wanted"), [("1 per day", "in parts"), ("few", "wanted")])
def test_budget_per_time_is_rejected(budget: str, wanted: str) -> None:
    with pytest.raises(Permanent, match=wanted):
        part_calibrator(budget)
