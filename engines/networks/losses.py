"""GANomaly's losses (Akcay et al. 2018, section 3.2, equations 1 to 5), then those of the default recipe."""

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


def damage_loss(distance: Tensor, damaged: Tensor) -> Tensor:
    """Distances [N, h, w] small where a frame is sound and large where it is damaged.

    `damaged` [N, 1, H, W] says how visible the damage is, 0 (none) to 1 (plain). exp(−distance) is read as the
    probability that a place is sound, and the loss is the cross-entropy of that, the mean over sound places plus the
    mean over damaged ones, each as heavy as its damage is visible (hypersphere classification, Liznerski et al. 2021,
    equation 2). A place next to damage, however faint, is not sound.
    """
    hit = functional.adaptive_max_pool2d(damaged, distance.shape[-2:])
    touched = (hit > 0).to(hit.dtype)
    near = functional.max_pool2d(touched, 3, 1, 1) if min(distance.shape[-2:]) > 4 else touched
    hit, sound = hit[:, 0], 1.0 - near[:, 0]
    push = -torch.log1p(-torch.exp(-distance.clamp(min=1e-4)))
    return _mean_where(distance, sound) + _mean_where(push, hit)


def restoration_loss(clean: Tensor, reconstruction: Tensor, damaged: Tensor) -> Tensor:
    """Mean absolute difference of clean frame and reconstruction [N, C, H, W], fivefold where it was damaged."""
    return _mean_where((reconstruction - clean).abs().mean(1), 1.0 + 4.0 * damaged[:, 0])


def identity_loss(identity: Tensor, identity_again: Tensor) -> Tensor:
    """Each frame's reconstruction must tell which frame of the batch it was drawn from, and the other way round.

    Unit vectors [N, D] of frames and of reconstructions; cross-entropy over their scalar products (InfoNCE, van den
    Oord et al. 2018; temperature 0.2 as in MoCo v2).
    """
    products = identity @ identity_again.T / 0.2
    own = torch.arange(len(products), device=products.device)
    return (functional.cross_entropy(products, own) + functional.cross_entropy(products.T, own)) / 2


def _mean_where(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1.0)
