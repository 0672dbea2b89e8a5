"""A convolutional autoencoder: what it cannot reconstruct is anomalous.

The network and its training are those of Bergmann et al., "Improving unsupervised defect segmentation by applying
structural similarity to autoencoders" (VISAPP 2019), table 1 and section 4, with the L2 loss: nine convolutions down to
100 values and the same back, leaky ReLU of slope 0.2, Adam at 2e-4 with weight decay 1e-5. The heatmap is the squared
residual of each pixel, mean over the channels.

Differences from the paper:

- The paper's input is 128×128. At other sizes the kernel of the last convolution covers the remaining map, a sixteenth
  of either side (8×8 in the paper).
- The output is not bounded, since the input of 16-bit frames is not.
- Batches of 64, and as many steps as the limits allow; the paper takes 200 epochs with batches of 128.
- The paper evaluates pixels only. A frame's score is the mean of its heatmap, the reconstruction error.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.steps import device, freeze, run_steps
from engines.bundles import Frames
from engines.networks.ganomaly import check_size
from engines.progress import Progress

_LATENT = 100
_SLOPE = 0.2
_LEARNING_RATE, _WEIGHT_DECAY = 2e-4, 1e-5
_BATCH = 64

# Filters, kernel and stride of the encoder before its last layer (table 1); padding 1 throughout.
_LAYERS = ((32, 4, 2), (32, 4, 2), (32, 3, 1), (64, 4, 2), (64, 3, 1), (128, 4, 2), (64, 3, 1), (32, 3, 1))


class AutoencoderNetwork(nn.Module):
    """Frames [N, C, H, W] → reconstructions of the same shape, through 100 latent values."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        check_size(height, width)
        self.encoder = nn.ModuleList()
        self.decoder = nn.Sequential()
        before = channels
        mirrored: list[nn.Module] = []
        for filters, kernel, stride in _LAYERS:
            self.encoder.append(nn.Sequential(nn.Conv2d(before, filters, kernel, stride, 1), nn.LeakyReLU(_SLOPE)))
            last = [] if before == channels else [nn.LeakyReLU(_SLOPE)]
            mirrored = [nn.ConvTranspose2d(filters, before, kernel, stride, 1), *last, *mirrored]
            before = filters
        kernel_size = (height // 16, width // 16)
        self.encoder.append(nn.Conv2d(before, _LATENT, kernel_size))
        self.decoder = nn.Sequential(nn.ConvTranspose2d(_LATENT, before, kernel_size), nn.LeakyReLU(_SLOPE), *mirrored)

    def activations(self, frames: Tensor) -> list[Tensor]:
        """Compute every layer of the encoder on frames [N, C, H, W], the latent values last: [N, F, h, w] each."""
        activations = []
        for layer in self.encoder:
            frames = layer(frames)
            activations.append(frames)
        return activations

    def forward(self, frames: Tensor) -> Tensor:
        result: Tensor = self.decoder(self.activations(frames)[-1])
        return result


class Autoencoder(Baseline):
    """Convolutional autoencoder, squared error."""

    name: ClassVar[str] = "autoencoder"
    title: ClassVar[str] = "Autoencoder"
    paper: ClassVar[str] = "Bergmann et al. 2019"

    def __init__(self) -> None:
        super().__init__()
        self.network: AutoencoderNetwork | None = None
        """Trained, in eval mode; None before `fit`."""

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        height, width, channels = frames.shape[1:]
        network = AutoencoderNetwork(height, width, channels).to(device())
        adam = torch.optim.Adam(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)

        def step(batch: Tensor) -> None:
            adam.zero_grad()
            functional.mse_loss(network(batch), batch).backward()  # type: ignore[no-untyped-call]
            adam.step()

        run_steps(frames, self.normalisation, step, batch=_BATCH, seed=seed, limits=limits, progress=progress)
        freeze(network)
        self.network = network

    @torch.inference_mode()
    def _score(self, frames: Frames) -> tuple[Any, Any]:
        assert self.network is not None
        values = self.normalised(frames).to(device())
        heatmap = (values - self.network(values)).square().mean(1)
        return heatmap.mean((1, 2)).cpu().numpy(), heatmap.cpu().numpy()
