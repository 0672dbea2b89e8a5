"""RaPP: compares the frame and its reconstruction on every layer of the encoder.

Kim et al., "RaPP: Novelty detection with reconstruction along projection pathway" (ICLR 2020). With d(x) all
differences hᵢ(x) − hᵢ(x̂), the input itself and every layer of the encoder, in one row:

- SAP (equation 4): |d|²;
- NAP (equation 6): |(d − µ) V Σ⁻¹|², with µ the mean over the training frames and U Σ Vᵀ the singular value
  decomposition of their centred rows.

Differences from the paper:

- The autoencoder is the convolutional one of `engines.baselines.autoencoder`: the paper's fully connected one would
  have billions of weights at 256 px (the method is defined for any).
- The rows of frames are long: at most 1,000 frames are decomposed, fewer if their rows need more than 1 GiB. Directions
  without variance are excluded, since their inverse would be infinite.
- The paper has no heatmap. The score is a sum of squares, one for each activation (for NAP those of (d − µ) V Σ⁻¹ Vᵀ,
  which has the same length), so each layer's squares are summed over the channels, enlarged to the frame with their
  total kept, and added up. The latent layer has no spatial position and is excluded. NAP's heatmap locates defects only
  if there are more frames than values: with fewer, each direction mixes all places.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engines.baselines.autoencoder import Autoencoder
from engines.baselines.baseline import Limits
from engines.baselines.pca import evenly_spaced_frames
from engines.baselines.principal import Axes, Rows, principal_axes
from engines.baselines.steps import device
from engines.bundles import Frames
from engines.progress import Progress

_MOST_FRAMES = 1000
_MOST_BYTES = 2**30
_BATCH = 32


class _Pathway(Autoencoder):
    """Autoencoder that scores the differences of frame and reconstruction along the encoder."""

    paper: ClassVar[str] = "Kim et al. 2020"

    def differences(self, frames: Frames) -> list[Tensor]:
        """Compute hᵢ(x) − hᵢ(x̂) for the input and every layer of the encoder: [N, F, h, w] each, on the CPU."""
        assert self.network is not None
        values = self.normalised(frames).to(device())
        reconstruction = self.network(values)
        pairs = zip(self.network.activations(values), self.network.activations(reconstruction), strict=True)
        return [(values - reconstruction).cpu(), *((first - second).cpu() for first, second in pairs)]

    @torch.inference_mode()
    def _score(self, frames: Frames) -> tuple[Any, Any]:
        layers = self.differences(frames)
        row = torch.cat([layer.flatten(1) for layer in layers], 1).numpy()
        normalised = torch.from_numpy(self._normalised(row))
        sizes = [layer[0].numel() for layer in layers]
        parts = [part.view_as(layer) for part, layer in zip(torch.split(normalised, sizes, 1), layers, strict=True)]
        return np.square(normalised.numpy()).sum(axis=1), _heatmaps(parts[:-1]).numpy()

    @abstractmethod
    def _normalised(self, row: Rows) -> Rows:
        """Normalise differences [N, D] before they are squared: [N, D]."""


class RappSap(_Pathway):
    """Simple aggregation along the pathway."""

    name: ClassVar[str] = "rapp-sap"
    title: ClassVar[str] = "RaPP, SAP"

    def _normalised(self, row: Rows) -> Rows:
        return row


class RappNap(_Pathway):
    """Normalised aggregation along the pathway."""

    name: ClassVar[str] = "rapp-nap"
    title: ClassVar[str] = "RaPP, NAP"

    def __init__(self) -> None:
        super().__init__()
        self._axes: Axes | None = None

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        super()._fit(frames, seed, limits, progress)
        self._axes = principal_axes(self._training_rows(frames))

    @torch.inference_mode()
    def _training_rows(self, frames: Frames) -> Rows:
        """Differences of a sample of the training frames, [n, D]."""
        length = sum(layer[0].numel() for layer in self.differences(frames[:1]))
        chosen = evenly_spaced_frames(frames, min(_MOST_FRAMES, max(2, _MOST_BYTES // (4 * length))))
        rows = np.empty((len(chosen), length), np.float32)
        for start in range(0, len(chosen), _BATCH):
            layers = self.differences(chosen[start : start + _BATCH])
            rows[start : start + _BATCH] = torch.cat([layer.flatten(1) for layer in layers], 1).numpy()
        return rows

    def _normalised(self, row: Rows) -> Rows:
        assert self._axes is not None
        return whitened(row, self._axes)


def whitened(rows: NDArray[np.float32], axes: Axes) -> Rows:
    """Compute (rows − µ) V Σ⁻¹ Vᵀ, [N, D]: as long as NAP's (rows − µ) V Σ⁻¹, but in the space of the activations."""
    coordinates: Any = axes.coordinates(rows) / axes.singular_values.astype(np.float32)
    result: Rows = coordinates @ axes.axes
    return result


def _heatmaps(layers: list[Tensor]) -> Tensor:
    """Sum squares of layers [N, F, h, w] over channels, enlarge them to the first one's size and add: [N, H, W]."""
    size = layers[0].shape[-2:]
    total = torch.zeros(len(layers[0]), *size)
    for layer in layers:
        squares = layer.square().sum(1, keepdim=True)
        scale = squares.shape[-2] * squares.shape[-1] / (size[0] * size[1])
        total += functional.interpolate(squares, size, mode="bilinear", align_corners=False)[:, 0] * scale
    return total
