"""The default score: what it is made of, and that it is the same wherever it is computed."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="networks need the train extra")

from engines.bundles.bundle import Normalisation  # noqa: E402
from engines.networks.latent_maps import Latents, MapGenerator  # noqa: E402
from engines.recipes.map_scorer import MapScorer, map_distances, tail_level  # noqa: E402

NORMALISATION = Normalisation(low=0.0, high=255.0)


def settled() -> MapScorer:
    torch.manual_seed(0)
    networks = MapGenerator(1).eval()
    scorer = MapScorer(networks, NORMALISATION).eval()
    learned = [torch.rand(32, 1, 64, 48) * 2 - 1 for _ in range(4)]
    scorer.settle(learned, [torch.rand(32, 1, 64, 48) * 2 - 1])
    return scorer


def test_distance_of_equal_latents_is_zero_and_grows_with_the_difference() -> None:
    maps = [torch.randn(2, 16, 4, 4)]
    step = torch.ones(2, 16, 4, 4)
    nothing = torch.zeros(2, 64)
    rest = torch.zeros(2, 1, 16, 16), nothing, nothing, nothing
    distances = [map_distances(Latents(maps, [maps[0] + size * step], *rest))[0] for size in (0.0, 1.0, 2.0)]
    torch.testing.assert_close(distances[0], torch.zeros(2, 4, 4))
    # |difference|² = 16 · size², divided by √16: √(1 + 4 · size²) − 1.
    torch.testing.assert_close(distances[1], torch.full((2, 4, 4), 5.0**0.5 - 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(distances[2], torch.full((2, 4, 4), 17.0**0.5 - 1), rtol=1e-4, atol=1e-5)


def test_score_is_the_square_of_the_larger_of_its_two_parts() -> None:
    scorer = settled()
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, 64, 48, 1)).astype(np.uint8))
    with torch.no_grad():
        score, heat = scorer(frames)
        latents = scorer.networks(scorer.normalise(frames))
    nearest = (latents.identity @ scorer.remembered.float().T).sort(1, descending=True).values[:, :5]
    whole = (1 - nearest.mean(1)) / scorer.usual[1]
    hot = heat.amax((1, 2)) / scorer.usual[0]
    torch.testing.assert_close(score, torch.maximum(hot, whole).square(), rtol=1e-4, atol=1e-5)
    assert heat.shape == (3, 16, 12)
    assert float(heat.min()) >= 0.0


def test_common_good_frame_scores_about_1() -> None:
    scorer = settled()
    with torch.no_grad():
        score, _ = scorer.distances(torch.rand(64, 1, 64, 48) * 2 - 1)
    assert 0.7 < float(score.median()) < 1.6


def test_level_is_where_an_exponential_tail_has_one_frame_in_a_million() -> None:
    generator = torch.Generator().manual_seed(0)
    hottest = 2.0 - 0.5 * torch.rand(200_000, generator=generator).log()
    assert float(tail_level(hottest)) == pytest.approx(2.0 + 0.5 * np.log(1_000_000), rel=0.02)


def test_restless_heatmap_gets_the_higher_level() -> None:
    quiet = torch.linspace(0.9, 1.1, 101)
    restless = quiet.clone()
    restless[-5:] = 4.0
    assert float(tail_level(restless)) > 2.0 * float(tail_level(quiet))


@pytest.mark.parametrize("hottest", [torch.ones(1), torch.ones(8), torch.zeros(4)])
def test_level_of_one_or_of_equal_frames_is_finite_and_above_0(hottest: torch.Tensor) -> None:
    level = tail_level(hottest)
    assert bool(torch.isfinite(level))
    assert float(level) > 0.0


def test_what_was_taught_is_believed_as_far_as_places_agree() -> None:
    scorer = settled()
    scorer.levels, scorer.explained = torch.tensor([2.0, 3.0]), torch.tensor(1.0)
    taught, by_place = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    taught[..., 8, 8], taught[..., 24, 24] = 8.0, 8.0
    by_place[..., 9, 10] = 3.0
    heat = scorer._joint(taught.square(), by_place.square())
    assert float(heat[..., 8, 8]) == pytest.approx(1.0)
    assert float(heat[..., 9, 10]) == pytest.approx(1.0)
    assert float(heat[..., 24, 24]) == 0.0
    by_place[..., 8, 8] = 30.0
    hotter = scorer._joint(taught.square(), by_place.square())
    assert float(hotter[..., 8, 8]) == pytest.approx((10.0**2 + 4.0**2) ** 0.5)


def test_where_the_place_explains_little_what_was_taught_counts_alone() -> None:
    scorer = settled()
    scorer.levels, scorer.explained = torch.ones(2), torch.tensor(0.01)
    taught, by_place = torch.zeros(1, 1, 32, 32), torch.full((1, 1, 32, 32), 0.5)
    taught[..., 8, 8], by_place[..., 24, 24] = 8.0, 8.0
    heat = scorer._joint(taught.square(), by_place.square())
    assert float(heat[..., 8, 8]) == pytest.approx(8.0, rel=1e-3)
    assert float(heat[..., 24, 24]) == pytest.approx(0.08)


def test_heatmaps_of_large_frames_are_smoothed_and_others_left_as_they_are() -> None:
    scorer = settled()
    scorer.levels, scorer.explained = torch.ones(2), torch.tensor(1.0)
    for side, peak in ((64, 1.0), (160, 1.0 / (2.0 * np.pi * 2.0**2))):
        by_place = torch.zeros(1, 1, side, side)
        by_place[..., 20, 30] = 1.0
        heat = scorer._joint(torch.zeros(1, 1, side, side), by_place)
        assert float(heat[..., 20, 30]) == pytest.approx(peak, rel=0.01)
        assert int(heat.argmax()) == 20 * side + 30


@pytest.mark.parametrize(("alike", "least", "most"), [(True, 0.9, 1.0), (False, 0.0, 0.1)])
def test_what_the_place_explains_is_measured_on_good_frames(alike: bool, least: float, most: float) -> None:
    generator = torch.Generator().manual_seed(6)
    scene = torch.rand(1, 1, 64, 48, generator=generator) * 1.2 - 0.8
    scenes = scene.expand(64, 1, 64, 48) if alike else torch.rand(64, 1, 64, 48, generator=generator) * 1.2 - 0.8
    scorer = settled()
    scorer.settle([scenes + 0.02 * torch.randn(64, 1, 64, 48, generator=generator)], [scenes[:16]])
    assert least <= float(scorer.explained) <= most


def test_light_that_comes_and_goes_moves_no_place_far() -> None:
    """The same scene under lamps that vary: to the statistics it is one and the same."""
    scorer = settled()
    generator = torch.Generator().manual_seed(5)
    scene = torch.rand(1, 1, 64, 48, generator=generator) * 1.2 - 0.8

    def shots(count: int, low: float, high: float) -> torch.Tensor:
        gain = low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)
        return (scene + 1.0) * gain - 1.0 + 0.02 * torch.randn(count, 1, 64, 48, generator=generator)

    with torch.no_grad():
        scorer.settle([shots(64, 1.0, 1.0)], [shots(32, 1.0, 1.0)])
        usual, brighter = (scorer.distances(shots(16, gain, gain))[1].amax((1, 2)).median() for gain in (1.0, 1.05))
    assert float(brighter) < 2.0 * float(usual)


def test_reconstruction_is_in_the_units_of_normalised_frames() -> None:
    """The training report shows it."""
    scorer = settled()
    frames = torch.rand(2, 1, 64, 48) * 2 - 1
    with torch.no_grad():
        scorer.networks.centre.fill_(-0.3)
        scorer.networks.spread.fill_(0.5)
        drawn = scorer.reconstruction(frames)
        standardised = scorer.networks(frames).reconstruction
    torch.testing.assert_close((drawn + 0.3) / 0.5, standardised)


@pytest.mark.parametrize("kin", [1.0, 0.25])
def test_the_whole_frame_has_as_much_say_as_kinship(monkeypatch: pytest.MonkeyPatch, kin: float) -> None:
    """A frame that is so many times as far from the good ones as they are scores the square of it, times K²."""
    monkeypatch.setattr("engines.recipes.map_scorer.kinship", lambda *_: torch.tensor(kin))
    scorer = settled()
    frames = torch.rand(4, 1, 64, 48) * 2 - 1
    with torch.no_grad():
        usually = float(scorer.usual[1]) * kin
        monkeypatch.setattr(scorer, "_whole", lambda identity: torch.full((len(identity),), 100.0 * usually))
        score, _ = scorer.distances(frames)
    torch.testing.assert_close(score, torch.full((4,), (100.0 * kin) ** 2), rtol=1e-4, atol=0)


def test_frame_that_is_remembered_five_times_is_no_distance_from_itself() -> None:
    scorer = settled()
    frames = torch.rand(4, 1, 64, 48) * 2 - 1
    with torch.no_grad():
        scorer.settle([frames] * 5, [frames])
        identity = scorer.networks(frames).identity
        torch.testing.assert_close(scorer._whole(identity), torch.zeros(4), atol=1e-4, rtol=0)
        torch.testing.assert_close(scorer.remembered.float(), identity.repeat(5, 1), atol=1e-3, rtol=0)
