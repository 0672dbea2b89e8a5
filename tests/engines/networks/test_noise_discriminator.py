"""Discriminators give places far from good ones higher odds, and count where they can be relied on."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from torch import Tensor  # noqa: E402

from engines.networks.noise_discriminator import NoiseDiscriminator, NoiseDiscriminators  # noqa: E402


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def patches(count: int, seed: int = 0) -> Tensor:
    """Good patches [N, 8] that fill a plane of their space."""
    plane = torch.randn((2, 8), generator=seeded(99))
    return torch.randn((count, 2), generator=seeded(seed)) @ plane + 0.1 * torch.randn(
        (count, 8), generator=seeded(seed)
    )


def as_maps(rows: Tensor) -> Tensor:
    return rows.T[None, :, :, None]


@pytest.fixture(scope="module")
def fitted() -> NoiseDiscriminator:
    discriminator = NoiseDiscriminator(8)
    discriminator.fit(patches(5000), seeded())
    return discriminator


def test_odds_are_low_for_good_patches_and_rise_away_from_them(fitted: NoiseDiscriminator) -> None:
    away = torch.randn((1, 8), generator=seeded(5))
    with torch.no_grad():
        near, off, far = (float(fitted(as_maps(patches(500, 1) + way * away)).mean()) for way in (0.0, 1.0, 3.0))
    assert near < off < far


def test_patches_off_the_plane_are_told_from_good_ones_in_it(fitted: NoiseDiscriminator) -> None:
    """As long as good patches in every channel, but not as good ones are together."""
    good, shuffled = patches(500, 1), patches(500, 2)
    shuffled = torch.stack(
        [channel[torch.randperm(500, generator=seeded(n))] for n, channel in enumerate(shuffled.T)], 1
    )
    with torch.no_grad():
        difference = fitted(as_maps(shuffled)).flatten()[:, None] - fitted(as_maps(good)).flatten()[None]
    assert float((difference > 0).float().mean()) > 0.8


def test_the_same_patches_and_generator_give_the_same_discriminator(fitted: NoiseDiscriminator) -> None:
    again = NoiseDiscriminator(8)
    torch.manual_seed(123)
    again.fit(patches(5000), seeded())
    for name, value in fitted.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, msg=name)


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    good = patches(300)
    good[:, 3] = 2.0
    discriminator = NoiseDiscriminator(8)
    discriminator.fit(good, seeded())
    assert torch.isfinite(discriminator(as_maps(good[:20]))).all()


def deep(count: int, seed: int) -> list[Tensor]:
    """What they see: of each frame one map at stride 8 and two at stride 16, then the same relative to itself."""
    sizes = ((4, 8), (3, 4), (2, 4))
    return [torch.randn((count, channels, side, side), generator=seeded(seed)) for channels, side in sizes + sizes]


def fitted_to(maps: list[Tensor], classes: float) -> NoiseDiscriminators:
    noise = NoiseDiscriminators((4, 3, 2))
    noise.fit([each.transpose(0, 1).flatten(1).T for each in noise.inputs(maps)], seeded())
    with torch.no_grad():
        odds = noise(maps)
        noise.fit_units(odds.permute(0, 2, 3, 1).flatten(0, 2), torch.tensor(classes))
    return noise


def test_averaged_distances_stay_in_their_units() -> None:
    """Good places have the mean and about the deviation that their distances had; a strange place stands out."""
    good, distances = deep(60, seed=0), 1.0 + 0.2 * torch.randn((60, 1, 4, 4), generator=seeded(7))
    noise = fitted_to(good, classes=0.0)
    strange = [maps.clone() for maps in good]
    for maps in strange:
        maps[:, :, : maps.shape[2] // 4, : maps.shape[3] // 4] += 6.0
    with torch.no_grad():
        usual, odd = (
            noise.averaged_with(distances, distances.std(), noise.combined(noise(maps))) for maps in (good, strange)
        )
    assert float(usual.mean()) == pytest.approx(1.0, abs=0.02)
    assert 0.1 < float(usual.std()) < 0.25
    assert float((odd - usual)[:, :, 0, 0].mean()) > 5.0 * float(usual.std())


def test_discriminators_do_not_count_where_good_frames_fall_into_classes() -> None:
    maps = deep(10, seed=0)
    noise, distances = fitted_to(maps, classes=1.0), torch.rand((10, 1, 4, 4), generator=seeded(7))
    with torch.no_grad():
        torch.testing.assert_close(
            noise.averaged_with(distances, distances.std(), noise.combined(noise(maps))), distances
        )
