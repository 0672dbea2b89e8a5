"""The losses that a training records."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="training needs the train extra")

from engines.training.trained import LossHistory


def test_history_has_a_value_for_every_loss_at_every_validation() -> None:
    """A loss that only some steps have may miss an interval, or start late; the report draws all on the same axis."""
    history = LossHistory()
    for losses in ({"anomaly/4": 4.0}, {"anomaly/4": 2.0, "identity": 1.0}):
        history.add_step(losses)
    history.add_validation(10, held_out=3.0)
    history.add_step({"anomaly/4": 1.0})
    history.add_validation(20, held_out=2.0)
    history.add_step({"views": 5.0})
    history.add_validation(30, held_out=1.0)
    assert history.steps == [10, 20, 30]
    assert history.losses["anomaly/4"][:2] == [3.0, 1.0]
    assert history.losses["identity"][0] == 1.0
    assert history.losses["views"][2] == 5.0
    assert {len(series) for series in history.losses.values()} == {3}
    assert math.isnan(history.losses["identity"][1])
    assert math.isnan(history.losses["views"][0])
