"""AnoGAN: the search for a frame in the latent space."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="baselines need the train extra")

from engines.baselines.anogan import DISCRIMINATION_WEIGHT, SEARCH_STEPS, AnoGan, random_latents
from engines.bundles.bundle import Frames


@pytest.fixture(scope="module")
def anogan(good: Frames) -> AnoGan:
    """Narrow, after a few steps, with a short search."""
    system = AnoGan(filters=16, search_steps=60)
    system.fit(good, seed=0, steps=10)
    return system


def test_search_lowers_the_residual_all_the_way(anogan: AnoGan, fresh: Frames) -> None:
    """The mean over the frames, at every fifteenth step."""
    _, _, residuals = anogan.search(fresh[:8])
    assert len(residuals) == 61
    assert (np.diff(residuals[::15]) < 0).all()


def test_score_is_the_weighted_loss_of_the_generated_frame(anogan: AnoGan, fresh: Frames) -> None:
    """Equation 6: the discrimination loss computed from score and heatmap is positive."""
    scores = anogan.score(fresh[:4])
    residual = scores.heatmap.sum(axis=(1, 2))
    discrimination = (scores.score - (1 - DISCRIMINATION_WEIGHT) * residual) / DISCRIMINATION_WEIGHT
    assert (discrimination > 0).all()
    np.testing.assert_allclose(scores.score, anogan.search(fresh[:4])[0].numpy(), rtol=1e-4)


def test_default_is_the_search_of_the_paper() -> None:
    assert (SEARCH_STEPS, DISCRIMINATION_WEIGHT, AnoGan()._search_steps) == (500, 0.1, 500)


def test_search_changes_no_weight(anogan: AnoGan, fresh: Frames) -> None:
    before = anogan.score(fresh[:2]).score
    anogan.score(fresh[2:6])
    np.testing.assert_array_equal(anogan.score(fresh[:2]).score, before)


def test_latent_values_are_uniform_between_minus_one_and_one() -> None:
    values = random_latents(200).flatten().numpy()
    assert -1 <= values.min() < -0.99
    assert 0.99 < values.max() <= 1
    assert abs(values.var() - 1 / 3) < 0.02
