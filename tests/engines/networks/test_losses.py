"""The losses are the paper's, on numbers that can be worked out by hand."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="losses need the train extra")

from engines.networks.losses import discriminator_loss, generator_loss  # noqa: E402


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
