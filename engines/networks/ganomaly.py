"""GANomaly's networks after Akcay et al. 2018 (ACCV, section 3.1), with the layer names of the authors' code.

The generator is an encoder, a decoder and a second encoder; the discriminator is a third encoder with one output. Layer
names (`encoder1.main.pyramid-64-128-conv` and so on) are those of the published `netG.pth`, so that its weights load.

Differences from the authors' code, without effect at the sizes it supports (square powers of two from 16):

- Height and width may be any multiples of 16, equal or not. The pyramid halves the feature map as long as both sides
  are even and at least 4 pixels remain; the kernel of the last convolution covers the rest (4×4 at the paper's sizes,
  6×6 at 96 pixels, 7×7 at 112).
- The network has no data-parallel wrapper; Lightning Fabric wraps it from outside.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from engines.errors import TrainingError

# Section 4.3 and the defaults of the authors' code: 100 latent values, 64 filters in the first layer.
LATENT = 100
FILTERS = 64

# Negative slope of the leaky ReLU (section 4.3, after DCGAN).
_SLOPE = 0.2


def check_size(height: int, width: int) -> None:
    """Raise TrainingError unless height and width, in pixels, are multiples of 16 and at least 16."""
    if height < 16 or width < 16 or height % 16 or width % 16:
        raise TrainingError(f"size is {width}×{height}, wanted multiples of 16, at least 16")


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """Return (height, width) of the feature map after each strided convolution, in order.

    >>> pyramid(32, 32)
    [(16, 16), (8, 8), (4, 4)]
    >>> pyramid(96, 64)
    [(48, 32), (24, 16), (12, 8), (6, 4)]
    """
    check_size(height, width)
    sizes = [(height // 2, width // 2)]
    while all(size % 2 == 0 and size // 2 >= 4 for size in sizes[-1]):
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


class Encoder(nn.Module):
    """Frames [N, channels, height, width] → latent vectors [N, latent, 1, 1].

    Strided convolutions; the number of filters doubles each time the size halves.
    """

    def __init__(self, height: int, width: int, channels: int, latent: int, filters: int) -> None:
        super().__init__()
        sizes = pyramid(height, width)
        main = nn.Sequential()
        main.add_module(f"initial-conv-{channels}-{filters}", nn.Conv2d(channels, filters, 4, 2, 1, bias=False))
        main.add_module(f"initial-relu-{filters}", nn.LeakyReLU(_SLOPE, inplace=True))
        for _ in sizes[1:]:
            doubled = filters * 2
            main.add_module(f"pyramid-{filters}-{doubled}-conv", nn.Conv2d(filters, doubled, 4, 2, 1, bias=False))
            main.add_module(f"pyramid-{doubled}-batchnorm", nn.BatchNorm2d(doubled))
            main.add_module(f"pyramid-{doubled}-relu", nn.LeakyReLU(_SLOPE, inplace=True))
            filters = doubled
        # The authors name this layer "1" whatever its number of outputs.
        main.add_module(f"final-{filters}-1-conv", nn.Conv2d(filters, latent, sizes[-1], 1, 0, bias=False))
        self.main = main

    def forward(self, frames: Tensor) -> Tensor:
        result: Tensor = self.main(frames)
        return result


class Decoder(nn.Module):
    """Latent vectors [N, latent, 1, 1] → frames [N, channels, height, width] in -1 … 1.

    The encoder mirrored, with transposed convolutions.
    """

    def __init__(self, height: int, width: int, channels: int, latent: int, filters: int) -> None:
        super().__init__()
        sizes = pyramid(height, width)
        filters *= 2 ** (len(sizes) - 1)
        main = nn.Sequential()
        main.add_module(
            f"initial-{latent}-{filters}-convt", nn.ConvTranspose2d(latent, filters, sizes[-1], 1, 0, bias=False)
        )
        main.add_module(f"initial-{filters}-batchnorm", nn.BatchNorm2d(filters))
        main.add_module(f"initial-{filters}-relu", nn.ReLU(inplace=True))
        for _ in sizes[1:]:
            halved = filters // 2
            main.add_module(
                f"pyramid-{filters}-{halved}-convt", nn.ConvTranspose2d(filters, halved, 4, 2, 1, bias=False)
            )
            main.add_module(f"pyramid-{halved}-batchnorm", nn.BatchNorm2d(halved))
            main.add_module(f"pyramid-{halved}-relu", nn.ReLU(inplace=True))
            filters = halved
        main.add_module(f"final-{filters}-{channels}-convt", nn.ConvTranspose2d(filters, channels, 4, 2, 1, bias=False))
        main.add_module(f"final-{channels}-tanh", nn.Tanh())
        self.main = main

    def forward(self, latent: Tensor) -> Tensor:
        result: Tensor = self.main(latent)
        return result


class Generator(nn.Module):
    """The paper's generator: reconstructs a frame from its latent vector, then encodes the reconstruction again."""

    def __init__(self, height: int, width: int, channels: int, latent: int = LATENT, filters: int = FILTERS) -> None:
        super().__init__()
        self.encoder1 = Encoder(height, width, channels, latent, filters)
        self.decoder = Decoder(height, width, channels, latent, filters)
        self.encoder2 = Encoder(height, width, channels, latent, filters)
        self.apply(initialise_weights)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map frames [N, C, H, W] in -1 … 1 to (reconstructions, latents of frames, latents of reconstructions)."""
        latent = self.encoder1(frames)
        reconstruction = self.decoder(latent)
        return reconstruction, latent, self.encoder2(reconstruction)


class Discriminator(nn.Module):
    """Classifies frames as real or reconstructed: an encoder with one output.

    The activations before its last layer are the features of the adversarial loss (feature matching).
    """

    def __init__(self, height: int, width: int, channels: int, filters: int = FILTERS) -> None:
        super().__init__()
        layers = list(Encoder(height, width, channels, 1, filters).main.children())
        self.features = nn.Sequential(*layers[:-1])
        self.classifier = nn.Sequential(layers[-1])
        self.classifier.add_module("Sigmoid", nn.Sigmoid())
        self.apply(initialise_weights)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames [N, C, H, W] to (probability that each is real [N], features [N, F, h, w])."""
        features = self.features(frames)
        return self.classifier(features).flatten(), features


def initialise_weights(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02), those of batch normalisation from N(1, 0.02) with bias 0 (DCGAN, section 3).

    For `nn.Module.apply`: initialises one layer, and leaves layers of other types unchanged.
    """
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


@torch.no_grad()
def recompute_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Recompute the batch-normalisation statistics of a network as means over these batches [B, C, H, W].

    Weights do not change; the network is left in eval mode. The running averages of training lag behind the weights:
    after 28 steps on X-ray frames, the held-out reconstruction error with them was twice as large (mean difference
    0.20) as in training mode (0.09).
    """
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over all batches
    network.train()
    for batch in batches:
        network(batch)
    network.eval()
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
