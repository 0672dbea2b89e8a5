"""Units and weights of the branches of the score on pretrained features."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from engines.recipes.feature_branches import (  # noqa: E402
    at_places_of,
    earlier_weights,
    hottest,
    tail_of,
    weighted,
    weights_for,
)


def score(units: torch.Tensor, side: int = 256) -> float:
    return float(weighted(units, weights_for(side)).sum())


def test_usual_frames_score_one_and_far_ones_their_distance() -> None:
    assert score(torch.zeros(1, 3)) == pytest.approx(1.0)
    assert score(torch.full((1, 3), 50.0)) == pytest.approx(50.02, abs=0.01)
    assert score(torch.full((1, 3), -50.0)) == pytest.approx(0.02, abs=0.01)


def test_identities_count_most_in_tiny_frames_and_least_in_all_others() -> None:
    units = torch.zeros(1, 3)
    units[0, 1] = 10.0
    assert score(units, 32) > 2.0 * score(units, 33)
    for side in (33, 64, 65, 640):
        identity, others = weights_for(side)[1], weights_for(side)[[0, 2]]
        assert identity <= others.min(), side


@pytest.mark.parametrize(
    ("branches", "side", "weights"),
    [(3, 256, [1, 1, 1]), (3, 64, [2, 3, 0.5]), (4, 256, [0.5, 1, 1, 1]), (4, 64, [1, 3, 2, 0.5])],
)
def test_bundles_without_weights_keep_those_of_then(branches: int, side: int, weights: list[float]) -> None:
    found = earlier_weights(branches, side)
    assert found.tolist() == pytest.approx([each / sum(weights) for each in weights])


def test_tail_of_equal_frames_is_not_nought() -> None:
    medians, excess = tail_of(torch.full((5, 2), 3.0))
    assert medians.tolist() == [3.0, 3.0]
    assert excess.tolist() == pytest.approx([0.06, 0.06])
    assert float(tail_of(torch.zeros(5, 1))[1]) > 0.0


def test_one_place_in_so_many_is_averaged_but_no_fewer_than_three() -> None:
    maps = torch.zeros(1, 1, 16, 16)
    maps[0, 0, 0, :4] = torch.tensor([8.0, 4.0, 4.0, 4.0])
    assert float(hottest(maps, 64)) == pytest.approx(5.0)
    assert float(hottest(maps[..., :4, :4], 64)) == pytest.approx(16.0 / 3)
    assert float(hottest(maps[..., :1, :2], 64)) == pytest.approx(6.0)


def test_finer_maps_keep_their_highest_values() -> None:
    fine = torch.zeros(1, 1, 8, 12)
    fine[0, 0, 5, 7] = 2.0
    coarse = at_places_of(torch.zeros(1, 1, 2, 3), fine)
    assert coarse.shape == (1, 1, 2, 3)
    assert coarse.nonzero().tolist() == [[0, 0, 1, 1]]
