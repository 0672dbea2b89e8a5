"""The reasons in a camera's state."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from agent.inspection.review import Reasons
from calibration import Calibration, Rule, TrainingScores
from tests.calibration.lines import filled, origin, scores


def of_shift(frames: int) -> Calibration:
    return filled(scores(frames), budget="1 per shift").finish(**origin())


def reasons_of(calibration: Calibration, damaged: float | None) -> str:
    training = TrainingScores(np.sort(scores(200, seed=9)), damaged)
    reasons = Reasons("line1", training)
    reasons.use(calibration)
    return reasons.text(calibration, Rule(1, 1)) or ""


def test_a_threshold_above_visible_damage_is_a_warning_that_says_what_lowers_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = of_shift(100)
    with caplog.at_level(logging.WARNING):
        reason = reasons_of(made, damaged=0.5 * made.threshold.value)
    assert "many defects may pass: the threshold" in reason
    assert "more good images in the window (`calibration.frames`), or a larger budget, bring it down" in reason
    assert "many defects may pass" in caplog.text


def test_a_threshold_below_visible_damage_is_no_warning() -> None:
    made = of_shift(100)
    assert "may pass" not in reasons_of(made, damaged=2 * made.threshold.value)
