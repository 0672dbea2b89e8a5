"""The default score: how it is computed from its parts, and how its statistics are fitted to good frames."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="networks need the train extra")

from engines.bundles.bundle import Normalisation  # noqa: E402
from engines.networks.latent_maps import Latents, MapGenerator  # noqa: E402
from engines.recipes.map_scorer import MapScorer, latent_distances, neighbour_contrast, tail_level  # noqa: E402

NORMALISATION = Normalisation(low=0.0, high=255.0)


def fitted() -> MapScorer:
    torch.manual_seed(0)
    networks = MapGenerator(1).eval()
    scorer = MapScorer(networks, NORMALISATION).eval()
    trained_on = [torch.rand(32, 1, 64, 48) * 2 - 1 for _ in range(4)]
    scorer.fit(trained_on, [torch.rand(32, 1, 64, 48) * 2 - 1])
    return scorer


def shapes(kind: int, count: int, seed: int = 0) -> torch.Tensor:
    """Normalised frames [count, 1, 64, 48] of one of four classes: a row, a column, a bright plate, a grid of dots."""
    frames = torch.full((count, 1, 64, 48), -0.8)
    if kind == 0:
        frames[:, :, 8:24] = 0.8
    elif kind == 1:
        frames[:, :, :, 30:40] = 0.8
    elif kind == 2:
        frames[:] = 0.5
    else:
        frames[:, :, ::2, ::2] = 0.9
    return frames + 0.05 * torch.randn(count, 1, 64, 48, generator=torch.Generator().manual_seed(10 * kind + seed))


def fitted_to_classes(*kinds: int) -> MapScorer:
    """A scorer fitted to good frames of these classes, with networks that distinguish all four.

    Untrained identity embeddings are nearly equal; centred over the classes, they are as different as trained ones.
    """
    torch.manual_seed(0)
    networks = MapGenerator(1).eval()
    everything = torch.cat([shapes(kind, 4) for kind in range(4)])
    with torch.no_grad():
        pooled = networks.encoder1.features(networks.standardise(everything))[-1].mean((2, 3))
        *hidden, last = networks.encoder1.identity
        last.bias.copy_(-(last.weight @ torch.nn.Sequential(*hidden)(pooled).mean(0)))
    scorer = MapScorer(networks, NORMALISATION).eval()
    trained_on, held_out = (torch.cat([shapes(kind, 24, seed) for kind in kinds]) for seed in (1, 2))
    scorer.fit([trained_on], [held_out])
    return scorer


def test_latent_distance_is_zero_for_equal_maps_and_grows_with_the_difference() -> None:
    maps = [torch.randn(2, 16, 4, 4)]
    step = torch.ones(2, 16, 4, 4)
    empty = torch.zeros(2, 64)
    rest = torch.zeros(2, 1, 16, 16), empty, empty, empty
    distances = [latent_distances(Latents(maps, [maps[0] + size * step], *rest))[0] for size in (0.0, 1.0, 2.0)]
    torch.testing.assert_close(distances[0], torch.zeros(2, 4, 4))
    # |difference|² = 16 · size², divided by √16: √(1 + 4 · size²) − 1.
    torch.testing.assert_close(distances[1], torch.full((2, 4, 4), 5.0**0.5 - 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(distances[2], torch.full((2, 4, 4), 17.0**0.5 - 1), rtol=1e-4, atol=1e-5)


def test_score_is_the_square_of_the_larger_of_peak_and_identity_distance() -> None:
    scorer = fitted()
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, 64, 48, 1)).astype(np.uint8))
    with torch.no_grad():
        score, heatmap = scorer(frames)
        latents = scorer.networks(scorer.normalise(frames))
    nearest = (latents.identity @ scorer.remembered.float().T).sort(1, descending=True).values[:, :5]
    identity = (1 - nearest.mean(1)) / scorer.usual[1]
    peak = heatmap.amax((1, 2)) / scorer.usual[0]
    torch.testing.assert_close(score, torch.maximum(peak, identity).square(), rtol=1e-4, atol=1e-5)
    assert heatmap.shape == (3, 16, 12)
    assert float(heatmap.min()) >= 0.0


def test_typical_good_frame_scores_about_1() -> None:
    scorer = fitted()
    with torch.no_grad():
        score, _ = scorer.distances(torch.rand(64, 1, 64, 48) * 2 - 1)
    assert 0.7 < float(score.median()) < 1.6


def test_level_is_where_an_exponential_tail_has_one_frame_in_a_million() -> None:
    generator = torch.Generator().manual_seed(0)
    peaks = 2.0 - 0.5 * torch.rand(200_000, generator=generator).log()
    assert float(tail_level(peaks)) == pytest.approx(2.0 + 0.5 * np.log(1_000_000), rel=0.02)


def test_map_with_occasional_high_peaks_gets_a_higher_level() -> None:
    steady = torch.linspace(0.9, 1.1, 101)
    occasional = steady.clone()
    occasional[-5:] = 4.0
    assert float(tail_level(occasional)) > 2.0 * float(tail_level(steady))


@pytest.mark.parametrize("peaks", [torch.ones(1), torch.ones(8), torch.zeros(4)])
def test_level_of_one_or_of_equal_frames_is_finite_and_above_0(peaks: torch.Tensor) -> None:
    level = tail_level(peaks)
    assert bool(torch.isfinite(level))
    assert float(level) > 0.0


def test_latent_distance_is_limited_by_the_mahalanobis_distance_of_its_neighbourhood() -> None:
    scorer = fitted()
    scorer.levels, scorer.explained = torch.tensor([2.0, 3.0]), torch.tensor(1.0)
    latent, mahalanobis = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    latent[..., 8, 8], latent[..., 24, 24] = 8.0, 8.0
    mahalanobis[..., 9, 10] = 3.0
    heatmap = scorer._fused(latent.square(), mahalanobis.square())
    assert float(heatmap[..., 8, 8]) == pytest.approx(1.0)
    assert float(heatmap[..., 9, 10]) == pytest.approx(1.0)
    assert float(heatmap[..., 24, 24]) == 0.0
    mahalanobis[..., 8, 8] = 30.0
    hotter = scorer._fused(latent.square(), mahalanobis.square())
    assert float(hotter[..., 8, 8]) == pytest.approx((10.0**2 + 4.0**2) ** 0.5)


def test_latent_distance_decides_alone_where_the_place_explains_little() -> None:
    scorer = fitted()
    scorer.levels, scorer.explained = torch.ones(2), torch.tensor(0.01)
    latent, mahalanobis = torch.zeros(1, 1, 32, 32), torch.full((1, 1, 32, 32), 0.5)
    latent[..., 8, 8], mahalanobis[..., 24, 24] = 8.0, 8.0
    heatmap = scorer._fused(latent.square(), mahalanobis.square())
    assert float(heatmap[..., 8, 8]) == pytest.approx(8.0, rel=1e-3)
    assert float(heatmap[..., 24, 24]) == pytest.approx(0.08)


def test_heatmaps_of_large_frames_are_smoothed_and_others_are_not() -> None:
    scorer = fitted()
    scorer.levels, scorer.explained = torch.ones(2), torch.tensor(1.0)
    for side, peak in ((64, 1.0), (160, 1.0 / (2.0 * np.pi * 2.0**2))):
        mahalanobis = torch.zeros(1, 1, side, side)
        mahalanobis[..., 20, 30] = 1.0
        heatmap = scorer._fused(torch.zeros(1, 1, side, side), mahalanobis)
        assert float(heatmap[..., 20, 30]) == pytest.approx(peak, rel=0.01)
        assert int(heatmap.argmax()) == 20 * side + 30


@pytest.mark.parametrize(("alike", "least", "most"), [(True, 0.9, 1.0), (False, 0.0, 0.1)])
def test_explained_variance_is_measured_on_good_frames(alike: bool, least: float, most: float) -> None:
    generator = torch.Generator().manual_seed(6)
    scene = torch.rand(1, 1, 64, 48, generator=generator) * 1.2 - 0.8
    scenes = scene.expand(64, 1, 64, 48) if alike else torch.rand(64, 1, 64, 48, generator=generator) * 1.2 - 0.8
    scorer = fitted()
    scorer.fit([scenes + 0.02 * torch.randn(64, 1, 64, 48, generator=generator)], [scenes[:16]])
    assert least <= float(scorer.explained) <= most


def test_change_of_light_raises_no_peak() -> None:
    """The statistics treat the same scene under different lamps as the same."""
    scorer = fitted()
    generator = torch.Generator().manual_seed(5)
    scene = torch.rand(1, 1, 64, 48, generator=generator) * 1.2 - 0.8

    def shots(count: int, low: float, high: float) -> torch.Tensor:
        gain = low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)
        return (scene + 1.0) * gain - 1.0 + 0.02 * torch.randn(count, 1, 64, 48, generator=generator)

    with torch.no_grad():
        scorer.fit([shots(64, 1.0, 1.0)], [shots(32, 1.0, 1.0)])
        usual, brighter = (scorer.distances(shots(16, gain, gain))[1].amax((1, 2)).median() for gain in (1.0, 1.05))
    assert float(brighter) < 2.0 * float(usual)


def test_reconstruction_is_in_the_units_of_normalised_frames() -> None:
    """The training report shows it."""
    scorer = fitted()
    frames = torch.rand(2, 1, 64, 48) * 2 - 1
    with torch.no_grad():
        scorer.networks.centre.fill_(-0.3)
        scorer.networks.spread.fill_(0.5)
        reconstruction = scorer.reconstruction(frames)
        standardised = scorer.networks(frames).reconstruction[0]
    torch.testing.assert_close((reconstruction + 0.3) / 0.5, standardised)


@pytest.mark.parametrize(("kinds", "least", "most"), [((0, 1, 2), 0.5, 1.0), ((0,), 0.0, 0.1)])
def test_identity_distance_is_weighted_by_the_contrast_of_good_frames(
    kinds: tuple[int, ...], least: float, most: float
) -> None:
    """Worked out again in NumPy from the embeddings: much weight for classes, little for frames that are all alike."""
    scorer = fitted_to_classes(*kinds)
    with torch.no_grad():
        held_out = torch.cat([scorer.networks.embed_identity(shapes(kind, 24, seed=2)) for kind in kinds]).numpy()
    distances = 1.0 - held_out @ scorer.remembered.float().numpy().T
    nearest = np.sort(distances, axis=1)[:, :5].mean(axis=1)
    # PyTorch's median is the lower of the middle two.
    contrast = np.sort(distances.ravel())[(distances.size - 1) // 2] - np.sort(nearest)[(len(nearest) - 1) // 2]
    assert least <= contrast <= most
    usual = max(float(np.sort(nearest)[(len(nearest) - 1) // 2]), 0.01)
    assert float(scorer.usual[1]) == pytest.approx(usual / max(float(contrast), 1e-3), rel=1e-3)
    assert float(neighbour_contrast(torch.from_numpy(held_out), scorer.remembered.float())) == pytest.approx(
        float(contrast), abs=1e-5
    )


def test_frame_of_another_class_is_found_by_its_identity() -> None:
    scorer = fitted_to_classes(0, 1, 2)
    with torch.no_grad():
        good = scorer.distances(torch.cat([shapes(kind, 8, seed=3) for kind in (0, 1, 2)]))[0]
        other = shapes(3, 8)
        score, _ = scorer.distances(other)
        identity = scorer.identity_distance(scorer.networks.embed_identity(other)) / scorer.usual[1]
    assert float(score.min()) > 10.0 * float(good.max())
    torch.testing.assert_close(score, identity.square(), rtol=1e-3, atol=0)


def test_frame_in_the_memory_bank_has_no_distance() -> None:
    scorer = fitted()
    frames = torch.rand(4, 1, 64, 48) * 2 - 1
    with torch.no_grad():
        scorer.fit([frames] * 5, [frames])
        identity = scorer.networks(frames).identity
        torch.testing.assert_close(scorer.identity_distance(identity), torch.zeros(4), atol=1e-4, rtol=0)
        torch.testing.assert_close(scorer.remembered.float(), identity.repeat(5, 1), atol=1e-3, rtol=0)
