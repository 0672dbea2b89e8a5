"""The recipe without pretrained weights builds its parts for every geometry."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.export.to_onnx import reference_answers  # noqa: E402
from engines.recipes.scratch import ScratchRecipe  # noqa: E402


@pytest.mark.parametrize(("side", "frames"), [(32, 64), (112, 41), (256, 8), (512, 8)])
def test_batch_size_follows_from_the_size_of_the_frames(side: int, frames: int) -> None:
    assert ScratchRecipe().batch_size(Geometry(side, side, 1, 8, "GRAY")) == frames


def test_fitted_scorer_is_restored_from_its_state_dict() -> None:
    """The PyTorch engine builds the scorer again and loads the bundle's weights."""
    recipe, geometry, normalisation = ScratchRecipe(), Geometry(32, 48, 1), Normalisation(low=0.0, high=255.0)
    torch.manual_seed(0)
    scorer = recipe.scorer(recipe.networks(geometry), normalisation).eval()
    frames = torch.rand(40, 1, 32, 48) * 2 - 1
    recipe.fit_scorer(scorer, [frames[:32]], [frames[32:]])
    restored = recipe.scorer(recipe.networks(geometry), normalisation).eval()
    restored.load_state_dict(scorer.state_dict())
    given = np.random.default_rng(0).integers(0, 255, (4, 32, 48, 1)).astype(np.uint8)
    first, second = reference_answers(scorer, given), reference_answers(restored, given)
    np.testing.assert_array_equal(first.score, second.score)
    np.testing.assert_array_equal(first.heatmap, second.heatmap)
