"""The losses of the default recipe, by hand-worked values."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="losses need the train extra")

from engines.networks.losses import damage_loss, identity_loss, restoration_loss  # noqa: E402


def damaged_corner() -> torch.Tensor:
    where = torch.zeros(1, 1, 64, 64)
    where[:, :, :8, :8] = 1.0
    return where


def test_damage_loss_is_the_cross_entropy_of_its_two_means() -> None:
    """Distance log 2 says "sound, by one half" everywhere: log 2 for sound places and log 2 for damaged ones."""
    distance = torch.full((1, 8, 8), math.log(2))
    assert float(damage_loss(distance, damaged_corner())) == pytest.approx(2 * math.log(2), rel=1e-5)


def test_damage_loss_pulls_down_where_sound_and_pushes_up_where_damaged() -> None:
    distance = torch.full((1, 8, 8), 0.5, requires_grad=True)
    damage_loss(distance, damaged_corner()).backward()
    assert distance.grad is not None
    assert float(distance.grad[0, 0, 0]) < 0 < float(distance.grad[0, 7, 7])


def test_place_beside_damage_counts_as_neither() -> None:
    distance = torch.full((1, 8, 8), 0.5, requires_grad=True)
    damage_loss(distance, damaged_corner()).backward()
    assert distance.grad is not None
    assert float(distance.grad[0, 1, 1]) == 0.0
    assert float(distance.grad[0, 0, 1]) == 0.0


def test_damage_loss_is_finite_for_any_distance_and_without_damage() -> None:
    for value in (0.0, 1e-6, 80.0):
        assert math.isfinite(float(damage_loss(torch.full((1, 8, 8), value), damaged_corner())))
    assert float(damage_loss(torch.full((1, 8, 8), 0.3), torch.zeros(1, 1, 64, 64))) == pytest.approx(0.3)


def test_restoration_loss_counts_damaged_places_five_times() -> None:
    clean, where = torch.zeros(1, 1, 1, 4), torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]])
    off_in_damage = torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]])
    off_in_sound = torch.tensor([[[[0.0, 1.0, 0.0, 0.0]]]])
    assert float(restoration_loss(clean, off_in_damage, where)) == pytest.approx(5 / 8)
    assert float(restoration_loss(clean, off_in_sound, where)) == pytest.approx(1 / 8)


def test_identity_loss_is_chance_for_equal_frames_and_small_for_recognised_ones() -> None:
    same = torch.nn.functional.normalize(torch.ones(8, 16), dim=1)
    assert float(identity_loss(same, same)) == pytest.approx(math.log(8), rel=1e-5)
    assert float(identity_loss(torch.eye(8), torch.eye(8))) == pytest.approx(math.log(1 + 7 * math.exp(-5)), rel=1e-4)
    assert float(identity_loss(torch.eye(8), torch.eye(8).roll(1, 0))) > 4.0
