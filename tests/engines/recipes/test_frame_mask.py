"""Masks in training and score: what is masked counts nowhere, and everything else counts as without the mask."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from torch import Tensor  # noqa: E402

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.networks.latent_maps import FrameCrop  # noqa: E402
from engines.recipes.anomaly_batch import AnomalyBatch, training_crop  # noqa: E402
from engines.recipes.content import FrameMask, counted, mean_of, places  # noqa: E402
from engines.recipes.feature_scorer import FeatureScorer  # noqa: E402
from engines.recipes.map_scorer import MapScorer  # noqa: E402
from engines.recipes.recipe import find_recipe  # noqa: E402
from tests.engines.recipes.test_pretrained import networks, texture  # noqa: E402

NORMALISATION = Normalisation(low=0.0, high=255.0)
FILL, FILL_VALUE = (102,), 102 * 2 / 255 - 1

INSPECTED = np.ones((64, 80), np.bool_)
"""All but a corner of 32×48 pixels."""
INSPECTED[:32, :48] = False
COUNTED = torch.from_numpy(INSPECTED[::4, ::4].copy())


def corner() -> FrameMask:
    made = FrameMask()
    made.use(INSPECTED, FILL, NORMALISATION)
    return made


def filled(frames: Tensor) -> Tensor:
    return torch.where(torch.from_numpy(INSPECTED), frames, FILL_VALUE)


@pytest.fixture(scope="module", params=["pretrained", "scratch"])
def scorer(request: pytest.FixtureRequest) -> MapScorer:
    """Fitted to filled frames, with a mask."""
    recipe = find_recipe(request.param)
    torch.manual_seed(0)
    built = networks() if request.param == "pretrained" else recipe.networks(Geometry(64, 80, 1)).eval()
    made = recipe.scorer(built, NORMALISATION).eval()
    made.mask.use(INSPECTED, FILL, NORMALISATION)
    recipe.fit_scorer(made, [filled(texture(30, seed=0))], [filled(texture(20, seed=2))])
    return made


def test_heat_is_zero_where_it_is_masked_and_nowhere_else(scorer: MapScorer) -> None:
    frames = filled(texture(8, seed=3))
    with torch.no_grad():
        _, heat = scorer.distances(frames)
    assert heat.shape[1:] == (16, 20)
    assert not heat[:, ~COUNTED].any()
    assert (heat[:, COUNTED] > 0).all()


@pytest.mark.parametrize("scorer", ["scratch"], indirect=True)
def test_a_mask_does_not_change_the_heat_elsewhere(scorer: MapScorer) -> None:
    """The same module without its mask: beyond the neighbourhood of the mask the same heat, bit by bit."""
    frames = filled(texture(8, seed=3))
    frames[:, :, 58:61, 50:70] = 0.7
    with torch.no_grad():
        score, heat = scorer.distances(frames)
        scorer.mask.given = False
        without_score, without = scorer.distances(frames)
        scorer.mask.given = True
    assert torch.equal(heat[:, 14:], without[:, 14:])
    assert torch.equal(heat[:, :, 18:], without[:, :, 18:])
    assert score.tolist() == pytest.approx(without_score.tolist(), rel=0.1)


@pytest.mark.parametrize("scorer", ["pretrained"], indirect=True)  # the other one has to be trained first
def test_a_defect_outside_the_mask_is_found(scorer: MapScorer) -> None:
    good, bad = filled(texture(20, seed=3)), filled(texture(20, seed=4))
    bad[:, :, 48:54, 20:70] = 0.9
    with torch.no_grad():
        good_scores, (bad_scores, heat) = scorer.distances(good)[0], scorer.distances(bad)
    assert float((bad_scores[:, None] > good_scores).float().mean()) > 0.95
    assert ((heat.flatten(1).argmax(1) // 20 - 12.5).abs() <= 3).float().mean() > 0.8


def test_the_memory_holds_no_masked_patch() -> None:
    """A masked place is far from all remembered ones: they all come from where the frame counts."""
    made = FeatureScorer(networks(), NORMALISATION).eval()
    made.mask.use(INSPECTED, FILL, NORMALISATION)
    made.fit([filled(texture(30, seed=0))], [filled(texture(20, seed=2))])
    with torch.no_grad():
        frames = filled(texture(4, seed=3))
        deep, _ = made._deep_features(frames, made.content(frames))
        coarse = [(memory, maps) for memory, maps in zip(made._memories, deep, strict=True) if maps.shape[-1] == 5]
        distances = [memory(maps)[:, 0] for memory, maps in coarse]
    assert distances
    masked = torch.zeros(4, 5, dtype=torch.bool)
    masked[0, :2] = True  # far from the edge of the mask
    for each in distances:
        assert float(each[:, masked].min()) > 1.5 * float(each[:, 2:].mean())


def test_means_are_of_what_counts() -> None:
    """A map that is hot only where it is masked has the mean 0; one that is 1 everywhere has the mean 1."""
    content = corner().pixels()
    for height, width in ((16, 20), (4, 5)):
        everywhere = torch.ones(2, 1, height, width)
        assert mean_of(everywhere, content).tolist() == pytest.approx([1.0, 1.0])
        inside = counted(everywhere, content)
        assert int(inside[0].sum()) == round(height * width * 0.7)
        assert mean_of(1.0 - inside, content).tolist() == [0.0, 0.0]


def test_a_thin_line_is_inspected_too() -> None:
    made, line = FrameMask(), np.zeros((64, 64), np.bool_)
    line[:, 30] = True
    made.use(line, FILL, NORMALISATION)
    assert int(places(made.pixels(), torch.ones(1, 1, 16, 16)).sum()) == 16
    assert int(places(made.pixels(), torch.ones(1, 1, 4, 4)).sum()) == 4


def test_training_learns_nothing_under_the_mask() -> None:
    """Anomalies and jitter end at its edge, whatever part of the frame a step trains on, halved or not."""
    made, rng = corner(), np.random.default_rng(0)
    for progress in (0.0, 1.0):
        frames, crop = training_crop(texture(4, seed=0, height=64, width=80), progress, rng)
        hurt = frames + torch.randn(frames.shape)
        pixels = made.in_crop(crop, *frames.shape[2:])
        batch = AnomalyBatch(frames, hurt, torch.ones_like(frames)).inspected(pixels, made.fill())
        masked = (pixels == 0).expand_as(frames)
        assert masked.any()
        for each in (batch.clean, batch.anomalous):
            assert each[masked].unique().tolist() == pytest.approx([FILL_VALUE])
        assert not batch.visibility[masked].any()
        assert torch.equal(batch.anomalous[~masked], hurt[~masked])
    assert made.in_crop(FrameCrop(0.5, 0.0, 0.5, 1.0), 32, 80).all()
