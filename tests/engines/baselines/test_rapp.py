"""RaPP: SAP and NAP agree with their definitions."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="baselines need the train extra")

from engines.baselines.principal import principal_axes
from engines.baselines.rapp import RappNap, RappSap, whitened
from engines.bundles.bundle import Frames
from tests.engines.baselines.conftest import correlated_rows


def test_whitened_rows_have_the_length_of_the_definition() -> None:
    """NAP as in its paper, |(d − µ) V Σ⁻¹|², by NumPy's decomposition."""
    training, fresh = correlated_rows(60, 7), correlated_rows(5, 7, seed=1)
    mean = training.astype(np.float64).mean(axis=0)
    _, singular, axes = np.linalg.svd(training - mean, full_matrices=False)
    expected = np.square((fresh - mean) @ axes.T / singular).sum(axis=1)
    found = np.square(whitened(fresh, principal_axes(training))).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_sap_is_the_sum_of_squares_along_the_encoder(good: Frames, fresh: Frames) -> None:
    system = RappSap()
    system.fit(good[:16], steps=2)
    layers = system.differences(fresh[:3])
    assert len(layers) == 10
    expected = sum(layer.square().flatten(1).sum(1) for layer in layers)
    np.testing.assert_allclose(system.score(fresh[:3]).score, expected.numpy(), rtol=1e-4)


def test_nap_of_few_training_frames_is_the_same_for_all(good: Frames) -> None:
    """With fewer frames than values, whitening puts every training frame at the same distance: 1 − 1/N."""
    system = RappNap()
    system.fit(good[:12], steps=2)
    np.testing.assert_allclose(system.score(good[:12]).score, 1 - 1 / 12, rtol=0.02)
