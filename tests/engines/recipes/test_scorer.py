"""Normalisation, blur and the reference recipe's score, against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch", reason="the scoring modules need the train extra")

from engines.bundles.bundle import Normalisation  # noqa: E402
from engines.networks.ganomaly import Generator, recompute_batch_norm  # noqa: E402
from engines.recipes.scorer import (  # noqa: E402
    Normalise,
    ReferenceScorer,
    gaussian_blur,
    gaussian_kernel,
    normalisation_of,
)


@pytest.fixture(scope="module")
def scorer() -> ReferenceScorer:
    """The published networks, narrow, 32×48 gray, with weights and statistics as after some training."""
    torch.manual_seed(3)
    networks = Generator(32, 48, 1, latent=16, filters=8)
    for parameter in networks.parameters():
        parameter.data *= 3
    recompute_batch_norm(networks, [torch.rand(32, 1, 32, 48) * 2 - 1])
    return ReferenceScorer(networks, Normalisation(low=0, high=255)).eval()


def frames(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 48, 1)).astype(np.uint8)


def test_normalise_maps_the_range_to_minus_one_and_one() -> None:
    values = torch.tensor([5000, 22500, 40000], dtype=torch.uint16).reshape(1, 1, 3, 1)
    assert Normalise(Normalisation(low=5000, high=40000))(values).flatten().tolist() == pytest.approx([-1, 0, 1])


def test_normalise_clips_values_far_outside_the_range() -> None:
    narrow = Normalise(Normalisation(low=30000, high=30100))
    values = torch.tensor([0, 30000, 65535], dtype=torch.uint16).reshape(1, 1, 3, 1)
    assert narrow(values).flatten().tolist() == pytest.approx([-16, -1, 16])


def test_normalisation_of_16_bits_ignores_dead_and_hot_pixels() -> None:
    values = np.random.default_rng(0).normal(20000, 1000, (4, 100, 100, 1)).astype(np.uint16)
    values[0, :2, :10] = 65535
    values[1, :2, :10] = 0
    found = normalisation_of(values)
    assert 16000 < found.low < 18000
    assert 22000 < found.high < 24500


def test_normalisation_of_constant_frames_is_still_a_range() -> None:
    found = normalisation_of(np.full((2, 8, 8, 1), 700, np.uint16))
    assert (found.low, found.high) == (700, 701)


def test_gaussian_blur_agrees_with_scipy() -> None:
    maps = np.random.default_rng(1).random((2, 1, 20, 33)).astype(np.float32)
    blurred = gaussian_blur(torch.from_numpy(maps), gaussian_kernel(4, 2.0)).numpy()
    for ours, given in zip(blurred[:, 0], maps[:, 0], strict=True):
        np.testing.assert_allclose(ours, ndimage.gaussian_filter(given, 2.0, mode="nearest", radius=4), atol=1e-5)


def test_gaussian_blur_keeps_the_sum_and_constant_maps() -> None:
    kernel = gaussian_kernel(4, 2.0)
    flat = torch.full((1, 1, 16, 16), 3.0)
    torch.testing.assert_close(gaussian_blur(flat, kernel), flat)
    spot = torch.zeros(1, 1, 33, 33)
    spot[0, 0, 16, 16] = 1
    blurred = gaussian_blur(spot, kernel)
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
    assert int(blurred.argmax()) == 16 * 33 + 16


def test_reference_score_is_the_mean_squared_difference_of_the_latent_vectors(scorer: ReferenceScorer) -> None:
    given = torch.from_numpy(frames())
    with torch.no_grad():
        _, latent, reconstruction_latent = scorer.networks(scorer.normalise(given))
        wanted = [float(((a - b) ** 2).mean()) for a, b in zip(latent, reconstruction_latent, strict=True)]
        assert scorer(given)[0].tolist() == pytest.approx(wanted, rel=1e-5)


def test_reference_heatmap_is_the_blurred_residual_averaged_over_4x4_pixels(scorer: ReferenceScorer) -> None:
    given = frames()
    with torch.no_grad():
        heatmaps = scorer(torch.from_numpy(given))[1].numpy()
        normalised = torch.from_numpy(given).permute(0, 3, 1, 2) / 127.5 - 1
        reconstruction = scorer.networks(normalised)[0]
    residual = np.abs(normalised.numpy() - reconstruction.numpy())[:, 0]
    assert heatmaps.shape == (3, 8, 12)
    for ours, map_ in zip(heatmaps, residual, strict=True):
        blurred = ndimage.gaussian_filter(map_, 2.0, mode="nearest", radius=4)
        np.testing.assert_allclose(ours, blurred.reshape(8, 4, 12, 4).mean((1, 3)), rtol=1e-4)
