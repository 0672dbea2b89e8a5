"""A window of parts of several frames is compared with the training by the first frame of each part."""

from __future__ import annotations

import numpy as np

from benchmarks.honesty.station import Setup, first_window
from calibration import TrainingScores


def test_the_highest_of_four_good_scores_is_not_taken_for_a_defect() -> None:
    chance = np.random.default_rng(0)
    training = TrainingScores(np.sort(chance.gamma(4.0, size=500)))
    stopped = 0
    for _ in range(5):
        parts = chance.gamma(4.0, size=(200, 4))
        setup = Setup(parts=True, frames_per_part=4, training=training)
        stopped += first_window(setup, "1 per 100 parts", parts).stopped
    assert stopped == 0


def test_defects_in_all_frames_of_a_part_stop_the_window() -> None:
    chance = np.random.default_rng(0)
    parts = chance.gamma(4.0, size=(200, 4))
    parts[::20] += 40.0
    training = TrainingScores(np.sort(chance.gamma(4.0, size=500)))
    assert first_window(Setup(parts=True, frames_per_part=4, training=training), "1 per 100 parts", parts).stopped
