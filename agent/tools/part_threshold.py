"""The threshold of `inspectd evaluate`: the agent's own calibration, on images of single parts instead of a stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import Permanent
from calibration import LEAST_FRAMES, Budget, CalibrationError, Rule, calibrate
from engines.evaluation.evaluate import Calibrator


def part_calibrator(false_alarms: str) -> Calibrator:
    """A function from scores, float32 [N], to the threshold for a budget such as "1 per 1000 parts".

    It returns None if there are fewer scores than a calibration needs, or if they are all the same.
    Raises Permanent for a budget per time, since images have no times.
    """
    try:
        budget = Budget.parse(false_alarms)
    except CalibrationError as error:
        raise Permanent(str(error)) from None
    if budget.per_frames is None:
        raise Permanent(f"false-alarm budget: got {false_alarms!r}, wanted one in parts, such as '1 per 1000 parts'")

    def calibrated(scores: NDArray[np.float32]) -> float | None:
        if len(scores) < LEAST_FRAMES:
            return None
        try:
            return calibrate(scores, frames_per_second=1.0, budget=budget, rule=Rule(k=1, n=1)).value
        except CalibrationError:
            return None

    return calibrated
