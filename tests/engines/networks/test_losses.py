"""The losses, on numbers that can be worked out by hand."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="losses need the train extra")

from engines.networks.losses import (  # noqa: E402
    anomaly_loss,
    discriminator_loss,
    generator_loss,
    identity_loss,
    restoration_loss,
)


def anomalous_corner() -> torch.Tensor:
    anomalous = torch.zeros(1, 1, 64, 64)
    anomalous[:, :, :8, :8] = 1.0
    return anomalous


def test_generator_loss_is_1_50_1_of_its_parts() -> None:
    frames, reconstruction = torch.zeros(2, 1, 4, 4), torch.full((2, 1, 4, 4), 0.5)
    latents = torch.zeros(2, 3, 1, 1), torch.full((2, 3, 1, 1), 2.0)
    features = torch.zeros(2, 5, 2, 2), torch.full((2, 5, 2, 2), 3.0)
    loss = generator_loss(frames, reconstruction, latents, features)
    assert float(loss.adversarial) == 9.0
    assert float(loss.contextual) == 0.5
    assert float(loss.encoder) == 4.0
    assert float(loss.total) == 1 * 9.0 + 50 * 0.5 + 1 * 4.0


def test_discriminator_loss_is_the_mean_of_both_cross_entropies() -> None:
    loss = discriminator_loss(torch.tensor([0.8, 0.8]), torch.tensor([0.4, 0.4]))
    assert float(loss) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2, rel=1e-6)


def test_discriminator_loss_is_finite_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = discriminator_loss(torch.ones(4, dtype=torch.bfloat16), torch.zeros(4, dtype=torch.bfloat16))
    assert loss.dtype == torch.float32
    assert float(loss) == 0.0


def test_anomaly_loss_is_the_sum_of_the_mean_cross_entropies() -> None:
    """A distance of log 2 is a probability of 1/2: log 2 at normal places plus log 2 at anomalous ones."""
    distance = torch.full((1, 8, 8), math.log(2))
    assert float(anomaly_loss(distance, anomalous_corner())) == pytest.approx(2 * math.log(2), rel=1e-5)


def test_anomaly_loss_decreases_normal_distances_and_increases_anomalous_ones() -> None:
    distance = torch.full((1, 8, 8), 0.5, requires_grad=True)
    anomaly_loss(distance, anomalous_corner()).backward()
    assert distance.grad is not None
    assert float(distance.grad[0, 0, 0]) < 0 < float(distance.grad[0, 7, 7])


def test_place_next_to_an_anomaly_does_not_count() -> None:
    distance = torch.full((1, 8, 8), 0.5, requires_grad=True)
    anomaly_loss(distance, anomalous_corner()).backward()
    assert distance.grad is not None
    assert float(distance.grad[0, 1, 1]) == 0.0
    assert float(distance.grad[0, 0, 1]) == 0.0


def test_anomaly_loss_is_finite_for_any_distance_and_without_anomalies() -> None:
    for value in (0.0, 1e-6, 80.0):
        assert math.isfinite(float(anomaly_loss(torch.full((1, 8, 8), value), anomalous_corner())))
    assert float(anomaly_loss(torch.full((1, 8, 8), 0.3), torch.zeros(1, 1, 64, 64))) == pytest.approx(0.3)


def test_restoration_loss_weights_anomalous_pixels_fivefold() -> None:
    clean, anomalous = torch.zeros(1, 1, 1, 4), torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]])
    off_at_anomaly = torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]])
    off_elsewhere = torch.tensor([[[[0.0, 1.0, 0.0, 0.0]]]])
    assert float(restoration_loss(clean, off_at_anomaly, anomalous)) == pytest.approx(5 / 8)
    assert float(restoration_loss(clean, off_elsewhere, anomalous)) == pytest.approx(1 / 8)


def test_identity_loss_is_chance_for_equal_embeddings_and_small_for_recognised_ones() -> None:
    same = torch.nn.functional.normalize(torch.ones(8, 16), dim=1)
    assert float(identity_loss(same, same)) == pytest.approx(math.log(8), rel=1e-5)
    assert float(identity_loss(torch.eye(8), torch.eye(8))) == pytest.approx(math.log(1 + 7 * math.exp(-5)), rel=1e-4)
    assert float(identity_loss(torch.eye(8), torch.eye(8).roll(1, 0))) > 4.0


def test_places_that_do_not_count_have_no_loss() -> None:
    """Padding: neither a long distance there nor what the decoder draws."""
    distance, nowhere = torch.ones(1, 4, 4), torch.zeros(1, 1, 16, 16)
    distance[:, :, 2:] = 9.0
    counted = torch.ones(1, 1, 4, 4)
    counted[..., 2:] = 0.0
    assert float(anomaly_loss(distance, nowhere, counted)) == pytest.approx(1.0)
    difference = torch.where(counted > 0, 1.0, 9.0)
    assert float(restoration_loss(torch.zeros(1, 1, 4, 4), difference, torch.zeros(1, 1, 4, 4), counted)) == 1.0
