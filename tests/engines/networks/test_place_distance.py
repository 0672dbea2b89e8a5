"""Mahalanobis distances per place: covariances, common modes, and the precision of eight bits."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="networks need the train extra")

from torch import Tensor  # noqa: E402

from engines.networks.place_distance import PlaceDistance  # noqa: E402


def good(count: int = 400, *, seed: int = 0, pose: float = 0.0) -> Tensor:
    """Maps [N, 4, 6, 5] whose places differ in spread, with correlated channels; `pose` shifts all places together."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 4, 6, 5, generator=generator)
    noise[:, 1] = 0.9 * noise[:, 0] + 0.3 * noise[:, 1]
    spread = torch.linspace(0.2, 2.0, 30).reshape(6, 5)
    pattern = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(99))
    return 3.0 + spread * noise + pose * torch.randn(count, 1, 1, 1, generator=generator) * pattern


def fitted(maps: Tensor) -> PlaceDistance:
    distance = PlaceDistance()
    distance.fit(maps)
    return distance


def test_good_places_have_a_distance_of_about_1_whatever_their_spread() -> None:
    distances = fitted(good())(good(seed=1))
    assert distances.shape == (400, 6, 5)
    rms = distances.square().mean(0).sqrt()
    # Covariances are pooled over neighbours, and the place with the least spread has one with twice as much.
    assert float(rms.min()) > 0.4
    assert float(rms.max()) < 1.6
    assert float(rms.mean()) == pytest.approx(1.0, abs=0.15)


def test_distance_is_mahalanobis() -> None:
    """Against the definition, on maps with the same distribution everywhere, so that pooling changes nothing."""
    generator = torch.Generator().manual_seed(3)
    mixing = torch.tensor([[1.0, 0.0], [2.0, 0.5]])
    maps = torch.einsum("cd,ndhw->nchw", mixing, torch.randn(1000, 2, 24, 24, generator=generator))
    given = torch.einsum("cd,ndhw->nchw", mixing, 3.0 * torch.randn(50, 2, 24, 24, generator=generator))
    inverse = torch.linalg.inv(mixing @ mixing.T)
    wanted = (torch.einsum("nchw,cd,ndhw->nhw", given, inverse, given) / 2).sqrt()
    errors = (fitted(maps)(given) - wanted).abs()
    assert float(wanted.mean()) > 2.0
    # Common modes are removed from noise as well.
    assert float(errors.mean()) < 0.1 * float(wanted.mean())


def test_broken_correlation_has_a_large_distance() -> None:
    broken = good(8, seed=2)
    broken[:, :, 2, 3] = 3.0
    broken[:, 0, 2, 3] += 1.0
    broken[:, 1, 2, 3] -= 1.0
    distances = fitted(good())(broken)
    assert float(distances[:, 2, 3].min()) > 2.0 * float(distances[:, :2].mean())


def test_variation_common_to_all_places_adds_no_distance() -> None:
    distance = fitted(good(pose=3.0))
    moved, still = distance(good(200, seed=4, pose=3.0)), distance(good(200, seed=4))
    assert float(moved.mean()) == pytest.approx(float(still.mean()), rel=0.1)
    # Removing the pose must not remove a defect as well.
    broken = good(200, seed=4, pose=3.0)
    broken[:, 2, 0, 0] += 3.0
    assert float(distance(broken)[:, 0, 0].mean()) > 3.0 * float(moved[:, 0, 0].mean())


@pytest.mark.parametrize("count", [1, 2, 15, 40])
def test_few_frames_give_finite_distances(count: int) -> None:
    distances = fitted(good(count))(good(10, seed=1))
    assert bool(torch.isfinite(distances).all())
    assert float(distances.min()) >= 0.0


def test_constant_maps_give_finite_distances() -> None:
    assert bool(torch.isfinite(fitted(torch.ones(20, 4, 6, 5))(good(4))).all())


@pytest.mark.parametrize(("height", "width"), [(330, 170), (161, 48), (40, 500)])
def test_statistics_of_very_large_maps_are_stored_in_blocks(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(7)
    maps = torch.randn(24, 2, height, width, generator=generator)
    distance = fitted(maps)
    assert max(distance.mean.shape[1:]) <= 160
    broken = torch.randn(2, 2, height, width, generator=generator)
    broken[:, :, 10:20, 21:31] += 5.0
    distances = distance(broken)
    assert distances.shape == (2, height, width)
    hottest = distances[0].flatten().argmax()
    assert 8 <= int(hottest) // width < 22
    assert 18 <= int(hottest) % width < 33


def test_state_dict_restores_the_statistics_with_their_sizes() -> None:
    distance, restored = fitted(good(pose=1.0)), PlaceDistance()
    restored.load_state_dict(distance.state_dict())
    torch.testing.assert_close(restored(good(4)), distance(good(4)), rtol=0, atol=0)


def test_statistics_take_few_bytes_per_place() -> None:
    """Eight bits for modes and whitening, sixteen for the mean."""
    state = fitted(good()).state_dict()
    total = sum(value.numel() * value.element_size() for value in state.values())
    places, channels, modes = 30, 4, 8
    assert total < places * (2 * channels + channels * modes + channels * (channels + 1) / 2 + 4) + 200
