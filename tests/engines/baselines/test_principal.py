"""Principal axes, and the three systems that stand on them, against numpy's and scikit-learn's own results."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="baselines need the train extra")

from engines.baselines.ocsvm import OneClassSvm
from engines.baselines.pca import Pca, spread
from engines.baselines.principal import principal_axes
from engines.baselines.rapp import RappNap, RappSap, whitened
from engines.bundles.bundle import Frames
from engines.evaluation.metrics import auroc


def rows(count: int, length: int, seed: int = 0) -> NDArray[np.float32]:
    """Correlated rows around a mean that is not zero."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(0, 1, (length, length)) * np.geomspace(3, 0.3, length)
    return (rng.normal(0, 1, (count, length)) @ mixing.T + 5).astype(np.float32)


@pytest.mark.parametrize("shape", [(40, 6), (8, 30)], ids=["more rows", "more columns"])
def test_axes_are_those_of_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    values = rows(*shape)
    found = principal_axes(values)
    _, singular, axes = np.linalg.svd(values.astype(np.float64) - values.mean(axis=0), full_matrices=False)
    rank = min(shape[0] - 1, shape[1])
    assert len(found.axes) == rank
    np.testing.assert_allclose(found.singular_values, singular[:rank], rtol=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(found.axes * axes[:rank], axis=1)), 1, rtol=1e-3)


def test_share_of_the_variance_decides_how_many_axes_are_kept() -> None:
    values = rows(200, 6)
    variances = np.linalg.svd(values - values.mean(axis=0), compute_uv=False) ** 2
    for share in (0.5, 0.9, 0.99):
        kept = len(principal_axes(values, share).axes)
        assert variances[:kept].sum() >= share * variances.sum() > variances[: kept - 1].sum()


def test_rows_that_are_all_alike_do_not_fail() -> None:
    found = principal_axes(np.full((5, 3), 7, np.float32))
    assert len(found.axes) == 1
    assert np.isfinite(found.axes).all()


def test_whitening_has_the_length_that_numpy_gives() -> None:
    """NAP as its paper writes it, |(d − µ) V Σ⁻¹|², by numpy's decomposition."""
    training, fresh = rows(60, 7), rows(5, 7, seed=1)
    mean = training.astype(np.float64).mean(axis=0)
    _, singular, axes = np.linalg.svd(training - mean, full_matrices=False)
    expected = np.square((fresh - mean) @ axes.T / singular).sum(axis=1)
    found = np.square(whitened(fresh, principal_axes(training))).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_pca_residual_is_nothing_where_the_axes_hold_everything(fresh: Frames) -> None:
    """Frames that differ in one direction only are drawn exactly; a spot of another kind is not, and is hottest."""
    ramp = np.linspace(0, 100, 32 * 32).reshape(32, 32, 1)
    frames = np.stack([(100 + factor * ramp).astype(np.uint8) for factor in np.linspace(0, 1, 20)])
    system = Pca()
    system.fit(frames, steps=1)
    spot = frames[10:11].copy()
    spot[0, 4:7, 20:23] = 0
    clean, dirty = system.score(frames[10:11]), system.score(spot)
    assert clean.score[0] < 1e-4 < dirty.score[0]
    row, column = np.unravel_index(dirty.heatmap[0].argmax(), (32, 32))
    assert 4 <= row < 7
    assert 20 <= column < 23


def test_svm_ranks_frames_as_scikit_learn_does(good: Frames, fresh: Frames, scratched: Frames) -> None:
    system = OneClassSvm()
    system.fit(good, steps=1)
    frames = np.concatenate([fresh, scratched])
    decision = system.machine.decision_function(system.features(frames))
    np.testing.assert_array_equal(np.argsort(-decision), np.argsort(system.score(frames).score))


def test_svm_finds_parts_that_are_elsewhere(good: Frames, fresh: Frames) -> None:
    """What moves many pixels is far away for a Gaussian kernel, and stays finite however far."""
    system = OneClassSvm()
    system.fit(good, steps=1)
    moved = np.roll(fresh, 9, axis=2)
    assert auroc(system.score(fresh).score, system.score(moved).score) > 0.95
    assert np.isfinite(system.score(np.full_like(fresh, 255)).score).all()


def test_sap_is_the_sum_of_squares_along_the_encoder(good: Frames, fresh: Frames) -> None:
    system = RappSap()
    system.fit(good[:16], steps=2)
    layers = system.differences(fresh[:3])
    assert len(layers) == 10
    expected = sum(layer.square().flatten(1).sum(1) for layer in layers)
    np.testing.assert_allclose(system.score(fresh[:3]).score, expected.numpy(), rtol=1e-4)


def test_nap_of_the_training_frames_is_the_same_for_all_where_they_are_few(good: Frames) -> None:
    """With fewer frames than values, whitening puts every training frame at the same distance: 1 − 1/N."""
    system = RappNap()
    system.fit(good[:12], steps=2)
    np.testing.assert_allclose(system.score(good[:12]).score, 1 - 1 / 12, rtol=0.02)


def test_spread_takes_the_first_and_the_last() -> None:
    frames = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    assert spread(frames, 4).ravel().tolist() == [0, 3, 6, 9]
    assert spread(frames, 20).ravel().tolist() == list(range(10))
