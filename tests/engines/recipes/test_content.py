"""Padding counts neither in scores nor in heatmaps, statistics or memories."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from torch import Tensor  # noqa: E402

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.bundles.manifest import View  # noqa: E402
from engines.images import content_box, fit_to_view  # noqa: E402
from engines.networks.feature_maps import FeatureGenerator  # noqa: E402
from engines.networks.latent_maps import MapGenerator  # noqa: E402
from engines.recipes.content import filled_at_random, find_content, mean_of  # noqa: E402
from engines.recipes.feature_scorer import FeatureScorer  # noqa: E402
from engines.recipes.map_scorer import MapScorer  # noqa: E402
from engines.recipes.patch_memory import random_patches  # noqa: E402
from engines.recipes.scorer import Normalise, Scorer  # noqa: E402

GEOMETRY = Geometry(64, 96, 1)
NORMALISATION = Normalisation(low=0.0, high=255.0)
PADDING = 90


def frames(shapes: list[tuple[int, int]], seed: int = 0) -> np.ndarray:
    """Letterboxed frames of smooth noise, [N, 64, 96, 1]."""
    chance, view = np.random.default_rng(seed), View(lowest_aspect=1.5, highest_aspect=1.5, padding=PADDING)
    images = [chance.normal(PADDING, 25, (*shape, 1)).clip(0, 255).astype(np.uint8) for shape in shapes]
    return np.stack([fit_to_view(image, view, GEOMETRY) for image in images])


MIXED = [(64, 96), (64, 200), (120, 60), (80, 80), (30, 100), (64, 96)]


def normalised(some: np.ndarray) -> Tensor:
    return Normalise(NORMALISATION)(torch.from_numpy(some))


def content_of(some: np.ndarray) -> Tensor:
    return find_content(normalised(some), PADDING / 127.5 - 1.0, 1 / 127.5)


def test_the_content_is_found_to_the_pixel() -> None:
    found = content_of(frames(MIXED))
    for shape, content in zip(MIXED, found, strict=True):
        box, wanted = content_box(shape, GEOMETRY), torch.zeros(64, 96)
        wanted[box.y : box.y + box.height, box.x : box.x + box.width] = 1.0
        assert torch.equal(content[0], wanted)


def test_a_frame_of_padding_alone_has_no_content_and_a_finite_mean() -> None:
    nothing = content_of(np.full((1, 64, 96, 1), PADDING, np.uint8))
    assert float(nothing.sum()) == 0.0
    assert float(mean_of(torch.ones(1, 1, 16, 24), nothing)) == 0.0


def test_patches_and_statistics_come_from_the_content() -> None:
    some = frames(MIXED)
    content = content_of(some)
    marked = torch.nn.functional.avg_pool2d(content, 16).repeat(1, 3, 1, 1)
    drawn = random_patches(marked, len(some), torch.Generator().manual_seed(0), content)
    assert len(drawn) > 0
    assert float(drawn.min()) >= 0.5
    filled = filled_at_random(marked, content, torch.Generator().manual_seed(0))
    assert float(filled.min()) >= 0.5


def scorers() -> list[Scorer]:
    torch.manual_seed(0)
    return [FeatureScorer(FeatureGenerator(), NORMALISATION).eval(), MapScorer(MapGenerator(1), NORMALISATION).eval()]


@pytest.mark.parametrize("scorer", scorers(), ids=["pretrained", "scratch"])
def test_padding_is_cold_and_shape_alone_is_no_defect(scorer: FeatureScorer) -> None:
    """Heat is 0 on padding. A shape that half of the good images have does not score higher than the other half's."""
    scorer.padding = PADDING
    good = normalised(frames(MIXED * 6, seed=1))
    scorer.fit([good], [normalised(frames(MIXED * 4, seed=2))])
    some = frames([(64, 96), (64, 200)] * 8, seed=3)
    with torch.no_grad():
        score, heatmap = scorer.distances(normalised(some))
    places = torch.nn.functional.avg_pool2d(content_of(some), 4)[:, 0]
    assert float(heatmap[places < 0.5].abs().max()) == 0.0
    assert float(heatmap[places >= 0.5].max()) > 0.0
    full, padded = score[::2], score[1::2]
    assert 0.4 < float(full.median() / padded.median()) < 2.5
