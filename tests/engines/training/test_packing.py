"""What training remembers of its losses."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="training needs the train extra")

from engines.training.trained import History


def test_history_keeps_a_value_for_every_check_of_every_loss() -> None:
    """A loss that only some steps have may miss an interval, or come late; the report draws them all over one axis."""
    history = History()
    for losses in ({"damage": 4.0}, {"damage": 2.0, "identity": 1.0}):
        history.note(losses)
    history.check(10, held_out=3.0)
    history.note({"damage": 1.0})
    history.check(20, held_out=2.0)
    history.note({"views": 5.0})
    history.check(30, held_out=1.0)
    assert history.steps == [10, 20, 30]
    assert history.losses["damage"][:2] == [3.0, 1.0]
    assert history.losses["identity"][0] == 1.0
    assert history.losses["views"][2] == 5.0
    assert {len(series) for series in history.losses.values()} == {3}
    assert math.isnan(history.losses["identity"][1])
    assert math.isnan(history.losses["views"][0])
