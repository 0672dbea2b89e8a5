"""Mahalanobis distance of each place of a feature map from the good frames' distribution at that place.

Guides hold the parts on a line, so each place has its own statistics: mean and covariance of its features over good
frames, as in PaDiM (Defard et al. 2021, section 3.2), pooled over the eight neighbours. Variation that all places share
(a part lies a little to the left, the lamp has aged) says nothing about any single place. The main common modes, the
principal components of whole maps, are therefore removed first (the residual of Jackson and Mudholkar 1979).
`place_explained_variance` measures how much the place matters at all.

Maps of very large frames are averaged over blocks of places first; otherwise these statistics would outgrow the rest of
the model.

The statistics are stored coarsely, with eight bits per weight: they are estimates, the rounding is small against the
spread of good frames, and the graph holds them for every place.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Most common modes removed; fewest frames per mode; most frames that the modes are computed from, since the Gram matrix
# grows with their square.
_MODES, _FRAMES_PER_MODE, _MODE_FRAMES = 8, 16, 1024

# Shrinkage: a place's covariance is averaged with that of all places, which weighs as much as this many frames.
_PRIOR_FRAMES = 12.0

# Regularisation, as a fraction of the mean variance: keeps near-constant features from dominating the distance.
_RIDGE = 1e-4

# Rows of each place's whitening matrix that are multiplied at once.
_ROWS = 4

# Longest side of the stored statistics, in places: 8 MB in the graph. Frames up to 640 pixels need no blocks.
_LONGEST_SIDE = 160


class PlaceDistance(nn.Module):
    """Maps [N, C, h, w] → Mahalanobis distances [N, h, w], divided by √C: about 1 on good frames.

    Buffers are the keys of `weights.npz` and the initialisers of the ONNX graph; bundles in use have these names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, 1, 1, dtype=torch.float16))
        self.register_buffer("whitening", torch.eye(1))
        self.register_buffer("modes", torch.zeros(1, 1, dtype=torch.int8))
        self.register_buffer("mode_scale", torch.zeros(1, 1))
        self.register_buffer("local", torch.ones(1, 1, dtype=torch.int8))
        self.register_buffer("local_scale", torch.ones(1))
        self.mean: Tensor
        """Mean of good frames, [C, h, w]."""
        self.whitening: Tensor
        """Whitening matrix of all places together, [C, C]."""
        self.modes: Tensor
        """Common modes of whitened maps, [M, C·h·w]; times `mode_scale` they are unit vectors."""
        self.mode_scale: Tensor
        """[M, 1]."""
        self.local: Tensor
        """Whitening matrix of each place, [C·(C+1)/2, h·w]: lower triangle row by row, to be times `local_scale`."""
        self.local_scale: Tensor
        """[h·w]."""

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the distances of maps [N, C, h, w]: float32 [N, h, w], ≥ 0."""
        return self.squares(maps).sqrt().squeeze(1)

    def squares(self, maps: Tensor) -> Tensor:
        """Compute the squared distances of maps [N, C, h, w]: float32 [N, 1, h, w], ≥ 0."""
        block = -(-max(maps.shape[2:]) // max(self.mean.shape[1:]))
        squares = self._local_squares(self._without_modes(self._white(_blocks(maps, block))))
        if block == 1:
            return squares
        enlarged = functional.interpolate(squares, scale_factor=float(block), mode="nearest")
        return enlarged[:, :, : maps.shape[2], : maps.shape[3]]

    @torch.no_grad()
    def fit(self, maps: Tensor) -> None:
        """Estimate the statistics from the maps of good frames, float32 [N, C, h, w]."""
        maps = _blocks(maps, -(-max(maps.shape[2:]) // _LONGEST_SIDE))
        count, channels, height, width = maps.shape
        self.mean = maps.mean(0).half()
        centred = maps - self.mean.float()
        self.whitening = _inverse_root(torch.einsum("nchw,ndhw->cd", centred, centred) / (count * height * width))
        white = self._white(maps)
        sample = white[:: -(-count // _MODE_FRAMES)]
        self.modes, self.mode_scale = _common_modes(sample, min(_MODES, len(sample) // _FRAMES_PER_MODE))
        covariances = _shrunk_covariances(self._without_modes(white))
        rows, columns = _triangle(channels)
        local, scale = _quantised(_inverse_root(covariances)[:, rows, columns])
        self.local, self.local_scale = local.T.contiguous(), scale.flatten()

    def _white(self, maps: Tensor) -> Tensor:
        # A convolution, which engines run in their own layout, and a constant cost less than half of a product with
        # centred maps.
        centre = torch.einsum("cd,dhw->chw", self.whitening, self.mean.float())
        return functional.conv2d(maps, self.whitening[:, :, None, None]) - centre

    def _without_modes(self, white: Tensor) -> Tensor:
        modes = self.modes.float() * self.mode_scale
        flat = white.flatten(1)
        # With the modes on the left ONNX Runtime reads them row by row, in a quarter of the time.
        coordinates = (modes @ flat[:, :, None]).squeeze(2)
        return torch.addmm(flat, coordinates, modes, alpha=-1.0).reshape(white.shape)

    def _local_squares(self, maps: Tensor) -> Tensor:
        """Multiply each place's whitening matrix and features a few rows at a time, summing by a product with ones.

        Engines are slow at one small matrix product per place, and all products at once do not fit their caches: 16
        channels of 64×64 places took ONNX Runtime 0.46 ms, and 5.4 ms for 8 frames. This way takes 0.24 and 2.3 ms (one
        thread).
        """
        channels, height, width = maps.shape[1:]
        places, weights = maps.reshape(-1, 1, channels, height * width), self._local_matrices()
        whitened = []
        for first in range(0, channels, _ROWS):
            last = min(first + _ROWS, channels)
            products = weights[first:last, :last] * places[:, :, :last]
            whitened.append(torch.ones(1, last) @ products)
        rows = torch.cat(whitened, 1).squeeze(2)
        mean = torch.full((1, channels), 1.0 / channels) @ (rows * rows)
        return mean.reshape(-1, 1, height, width)

    def _local_matrices(self) -> Tensor:
        """Unpack the whitening matrix of each place, [C, C, h·w]; engines compute this once, when they load."""
        channels = self.whitening.shape[0]
        rows, columns = _triangle(channels)
        index = torch.zeros((channels, channels), dtype=torch.long)
        index[rows, columns] = torch.arange(len(rows))
        matrices = self.local.float().index_select(0, index.flatten())
        lower = torch.ones(channels, channels).tril().reshape(-1, 1)
        return (matrices * lower * self.local_scale).reshape(channels, channels, -1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Resize the buffers to those of the fitted module before they are loaded."""
        for name, buffer in self.named_buffers(recurse=False):
            setattr(self, name, torch.zeros_like(state_dict.get(f"{prefix}{name}", buffer)))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _blocks(maps: Tensor, side: int) -> Tensor:
    """Average maps over blocks of `side`×`side` places; blocks at the border may be smaller."""
    return maps if side == 1 else functional.avg_pool2d(maps, side, ceil_mode=True)


def place_explained_variance(maps: Tensor) -> Tensor:
    """Compute the share of the variance of good frames' maps [N, C, h, w] that the place explains: scalar, 0 … 1.

    This is the coefficient of determination R² of each channel given the place, averaged over the channels: 0.9 for
    parts that guides hold on the simulated line, 0.06 for fillets in arbitrary positions (fishbones), 0.01 for boards
    that all differ (DeepPCB).

    >>> ramp = torch.arange(8.0).expand(50, 1, 8, 8)
    >>> light = 10.0 * (torch.arange(50.0) % 2).reshape(50, 1, 1, 1)
    >>> float(place_explained_variance(ramp)), round(float(place_explained_variance(ramp + light)), 3)
    (1.0, 0.174)
    """
    total = maps.var((0, 2, 3), correction=0).clamp(min=1e-12)
    residual = maps.var(0, correction=0).mean((1, 2))
    return (1.0 - residual / total).mean().clamp(0.0, 1.0)


def _shrunk_covariances(maps: Tensor) -> Tensor:
    """Covariances [h·w, C, C] of the places of centred maps [N, C, h, w].

    Pooled over 3×3 places and shrunk towards the average covariance of all places.
    """
    count, channels, height, width = maps.shape
    places = maps.permute(2, 3, 1, 0).reshape(height * width, channels, count)
    covariances = (places @ places.transpose(1, 2) / count).reshape(height, width, channels * channels)
    pooled = functional.avg_pool2d(covariances.permute(2, 0, 1)[None], 3, 1, 1, count_include_pad=False)[0]
    average = covariances.mean((0, 1)).reshape(channels, channels)
    by_place = pooled.permute(1, 2, 0).reshape(height * width, channels, channels)
    return (count * by_place + _PRIOR_FRAMES * average) / (count + _PRIOR_FRAMES)


def _inverse_root(covariance: Tensor) -> Tensor:
    """Lower triangular W [..., C, C] with W·Σ·Wᵀ = 1 for covariances Σ [..., C, C], regularised by `_RIDGE`."""
    channels = covariance.shape[-1]
    ridge = _RIDGE * covariance.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-9)
    regular = covariance.double() + ridge.double()[..., None, None] * torch.eye(channels, dtype=torch.float64)
    root = torch.linalg.cholesky(regular)
    inverse: Tensor = torch.linalg.solve_triangular(root, torch.eye(channels, dtype=torch.float64), upper=False)
    return inverse.float()


def _common_modes(white: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Principal components of maps [N, C, h, w], from the frames' Gram matrix [N, N].

    Returns them as eight-bit integers [M, C·h·w] and their scales [M, 1].
    """
    flat = white.flatten(1)
    if count == 0:
        return torch.zeros((1, flat.shape[1]), dtype=torch.int8), torch.zeros(1, 1)
    gram = (flat @ flat.T).double()
    vectors = torch.linalg.eigh(gram).eigenvectors[:, -count:].float()
    modes = vectors.T @ flat
    return _quantised(modes / modes.norm(dim=1, keepdim=True).clamp(min=1e-9))


def _quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [R, K] → (int8 [R, K], scales [R, 1]); their product approximates the rows to eight bits."""
    scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127.0
    return (rows / scale).round().to(torch.int8), scale


def _triangle(channels: int) -> tuple[Tensor, Tensor]:
    """Row and column indices of a lower triangle, row by row."""
    rows, columns = torch.tril_indices(channels, channels)
    return rows, columns
