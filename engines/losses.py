"""GANomaly's losses (Akcay et al. 2018, section 3.2, equations 1 to 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Section 4.3: found by the authors, in use ever since.
ADVERSARIAL_WEIGHT, CONTEXTUAL_WEIGHT, ENCODER_WEIGHT = 1.0, 50.0, 1.0


@dataclass(frozen=True, slots=True)
class GeneratorLoss:
    """The three parts of the generator's loss, each a scalar tensor."""

    adversarial: Tensor
    """Mean squared difference of the discriminator's features of the frame and of its reconstruction (equation 1)."""
    contextual: Tensor
    """Mean absolute difference of the frame and its reconstruction (equation 2)."""
    encoder: Tensor
    """Mean squared difference of the two latent vectors (equation 3)."""

    @property
    def total(self) -> Tensor:
        """The weighted sum (equation 4)."""
        return (
            ADVERSARIAL_WEIGHT * self.adversarial + CONTEXTUAL_WEIGHT * self.contextual + ENCODER_WEIGHT * self.encoder
        )


def generator_loss(
    frames: Tensor, reconstruction: Tensor, latents: tuple[Tensor, Tensor], features: tuple[Tensor, Tensor]
) -> GeneratorLoss:
    """Loss of the generator on frames [N, C, H, W]; the pairs are (of the frame, of the reconstruction)."""
    return GeneratorLoss(
        adversarial=functional.mse_loss(features[1], features[0]),
        contextual=functional.l1_loss(reconstruction, frames),
        encoder=functional.mse_loss(latents[1], latents[0]),
    )


def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Mean binary cross-entropy of the probabilities [N] given to real frames and to reconstructions."""
    # Autocast refuses binary_cross_entropy in half precision, rightly: the logarithm of a rounded 1 is useless.
    with torch.autocast(real.device.type, enabled=False):
        on_real = functional.binary_cross_entropy(real.float(), torch.ones_like(real, dtype=torch.float32))
        on_drawn = functional.binary_cross_entropy(drawn.float(), torch.zeros_like(drawn, dtype=torch.float32))
    return (on_real + on_drawn) / 2
