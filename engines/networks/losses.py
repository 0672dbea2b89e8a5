"""GANomaly's losses (Akcay et al. 2018, section 3.2, equations 1 to 5), and the losses of our own recipes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Section 4.3: chosen by the authors.
ADVERSARIAL_WEIGHT, CONTEXTUAL_WEIGHT, ENCODER_WEIGHT = 1.0, 50.0, 1.0


@dataclass(frozen=True, slots=True)
class GeneratorLoss:
    """The three parts of the generator's loss, each a scalar tensor."""

    adversarial: Tensor
    """Mean squared difference of the discriminator's features of frames and reconstructions (equation 1)."""
    contextual: Tensor
    """Mean absolute difference of frames and reconstructions (equation 2)."""
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
    """Compute the generator's loss on frames [N, C, H, W] and their reconstructions.

    `latents` and `features` are pairs: those of the frames, and those of the reconstructions.
    """
    return GeneratorLoss(
        adversarial=functional.mse_loss(features[1], features[0]),
        contextual=functional.l1_loss(reconstruction, frames),
        encoder=functional.mse_loss(latents[1], latents[0]),
    )


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Mean binary cross-entropy of the probabilities [N] of being real, of real and of generated frames."""
    # Autocast rejects binary_cross_entropy in half precision: the logarithm of a rounded 1 is useless.
    with torch.autocast(real.device.type, enabled=False):
        on_real = functional.binary_cross_entropy(real.float(), torch.ones_like(real, dtype=torch.float32))
        on_generated = functional.binary_cross_entropy(
            generated.float(), torch.zeros_like(generated, dtype=torch.float32)
        )
    return (on_real + on_generated) / 2


def anomaly_loss(distance: Tensor, anomalous: Tensor, counted: Tensor | None = None) -> Tensor:
    """Loss of latent distances [N, h, w] that are to be small at normal places and large at anomalous ones.

    `anomalous` [N, 1, H, W] is how visible the synthetic anomaly is at each pixel, from 0 (none) to 1 (plain). The loss
    reads exp(−distance) as the probability that a place is normal, and is its cross-entropy (hypersphere
    classification, Liznerski et al. 2021, equation 2): the mean over normal places plus the mean over anomalous ones,
    the latter weighted by visibility. A place next to an anomaly, however faint, does not count as normal; neither does
    one where `counted` [N, 1, h, w] is 0.
    """
    target = functional.adaptive_max_pool2d(anomalous, distance.shape[-2:])
    touched = (target > 0).to(target.dtype)
    near = functional.max_pool2d(touched, 3, 1, 1) if min(distance.shape[-2:]) > 4 else touched
    target, normal = target[:, 0], 1.0 - near[:, 0]
    if counted is not None:
        normal = normal * counted[:, 0]
    push = -torch.log1p(-torch.exp(-distance.clamp(min=1e-4)))
    return _weighted_mean(distance, normal) + _weighted_mean(push, target)


def restoration_loss(clean: Tensor, reconstruction: Tensor, anomalous: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean absolute difference of clean frames and reconstructions [N, C, H, W], weighted fivefold at anomalies.

    `anomalous` [N, 1, H, W] is the visibility of the synthetic anomaly, 0 … 1; `counted` as in `anomaly_loss`.
    """
    weights = 1.0 + 4.0 * anomalous[:, 0]
    if counted is not None:
        weights = weights * counted[:, 0]
    return _weighted_mean((reconstruction - clean).abs().mean(1), weights)


def identity_loss(first: Tensor, second: Tensor) -> Tensor:
    """Contrastive loss: each embedding must match its own counterpart among those of the batch, in both directions.

    `first` and `second` are identity embeddings, unit vectors [N, D], of two views of the same frames, or of frames and
    their reconstructions. Cross-entropy over their scalar products (InfoNCE, van den Oord et al. 2018; temperature 0.2
    as in MoCo v2).
    """
    similarities = first @ second.T / 0.2
    positives = torch.arange(len(similarities), device=similarities.device)
    return (functional.cross_entropy(similarities, positives) + functional.cross_entropy(similarities.T, positives)) / 2


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1.0)
