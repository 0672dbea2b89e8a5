"""Suspected frames: defects are found, and good lines lose next to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.statistics.suspects import suspected_frames
from tests.calibration.lines import scores


@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.98])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_suspects_good_lines_lose_next_to_nothing(correlation: float, power: float) -> None:
    """Squared scores have a heavier tail. At most one of twenty windows may lose a frame."""
    hit = [suspected_frames(scores(1_000, correlation=correlation, seed=seed) ** power)[0].sum() for seed in range(20)]
    assert np.count_nonzero(hit) <= 1


def test_suspected_frames_take_the_frames_between_them_along() -> None:
    """A defect in sight for three frames is left out whole, though the middle one scores a little less."""
    values = scores(300, correlation=0.7, seed=4)
    values[100:103] += 40.0
    assert np.flatnonzero(suspected_frames(values)[0]).tolist() == [100, 101, 102]
