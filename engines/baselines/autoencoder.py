"""A convolutional autoencoder: what it cannot give back is suspicious.

The network and its training are those of Bergmann et al., "Improving unsupervised defect segmentation by applying
structural similarity to autoencoders" (VISAPP 2019), table 1 and section 4, with the L2 loss: nine convolutions down to
100 values and the same back, leaky ReLU of slope 0.2, Adam at 2e-4 with weight decay 1e-5. The heatmap is the squared
residual of each pixel, mean over the channels.

Departures:

- the paper's input is 128×128; at other sizes the last convolution covers what remains, a sixteenth of either side
  (8×8 in the paper);
- the output is not bounded, as the input of 16-bit frames is not;
- batches of 64, and as many steps as the budget allows, where the paper takes 200 epochs with batches of 128;
- the paper judges pixels only. A frame's score is the mean of its heatmap, the reconstruction error.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.steps import device, learn, ready
from engines.bundles import Frames
from engines.networks.ganomaly import check_size
from engines.progress import Progress

_LATENT = 100
_SLOPE = 0.2
_LEARNING_RATE, _WEIGHT_DECAY = 2e-4, 1e-5
_BATCH = 64

_LAYERS = ((32, 4, 2), (32, 4, 2), (32, 3, 1), (64, 4, 2), (64, 3, 1), (128, 4, 2), (64, 3, 1), (32, 3, 1))
"""Filters, kernel and stride of the encoder before its last layer (table 1); padding 1 throughout."""


class AutoencoderNetwork(nn.Module):
    """[N, C, H, W] → the same, through 100 values."""

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
        remains = (height // 16, width // 16)
        self.encoder.append(nn.Conv2d(before, _LATENT, remains))
        self.decoder = nn.Sequential(nn.ConvTranspose2d(_LATENT, before, remains), nn.LeakyReLU(_SLOPE), *mirrored)

    def activations(self, frames: Tensor) -> list[Tensor]:
        """Every layer of the encoder on frames [N, C, H, W], the latent values last: [N, F, h, w] each."""
        found = []
        for layer in self.encoder:
            frames = layer(frames)
            found.append(frames)
        return found

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
        """Trained, in inference."""

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        height, width, channels = frames.shape[1:]
        network = AutoencoderNetwork(height, width, channels).to(device())
        adam = torch.optim.Adam(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)

        def step(batch: Tensor) -> None:
            adam.zero_grad()
            functional.mse_loss(network(batch), batch).backward()  # type: ignore[no-untyped-call]
            adam.step()

        learn(frames, self.normalisation, step, batch=_BATCH, seed=seed, limits=limits, progress=progress)
        ready(network)
        self.network = network

    @torch.inference_mode()
    def _score(self, frames: Frames) -> tuple[Any, Any]:
        assert self.network is not None
        values = self.normalised(frames).to(device())
        heat = (values - self.network(values)).square().mean(1)
        return heat.mean((1, 2)).cpu().numpy(), heat.cpu().numpy()
