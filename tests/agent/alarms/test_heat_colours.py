"""The fixed colour scale."""

from __future__ import annotations

import numpy as np

from agent.alarms.heat_colours import HOTTEST, colour_of


def test_colour_of_a_value_does_not_depend_on_the_others() -> None:
    alone = colour_of(np.array([[0.9, 3.0]], np.float32))
    beside = colour_of(np.array([[0.9, 3.0, 50.0]], np.float32))
    assert (alone[0] == beside[0, :2]).all()


def test_colour_is_blue_up_to_one_and_red_above() -> None:
    below, above = colour_of(np.array([[0.99, 1.01]], np.float32))[0].astype(int)
    assert below[0] > below[2]
    assert above[2] > above[0]


def test_values_at_and_beyond_the_hottest_are_white() -> None:
    assert colour_of(np.array([[HOTTEST, 1e9, np.inf]], np.float32)).tolist() == [[[255, 255, 255]] * 3]
