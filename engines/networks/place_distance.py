"""How far each place of a feature map is from what that place looks like on good frames: Mahalanobis distance by place.

Parts on a line lie where guides hold them, so that a place has statistics of its own: mean and covariance of its
features over good frames, as in PaDiM (Defard et al. 2021, section 3.2), pooled over the eight neighbours. What all
places do together, since a part lies a little to the left or the lamp has aged, says nothing about any one of them: the
main common modes (principal components of whole maps, as in the residual of Jackson and Mudholkar 1979) are taken out
first. How much of all this is worth knowing, where on the frame something is, `explained` says.

Maps of very large frames are averaged over blocks of places first, or what is remembered would be larger than all else.

What is remembered is coarse on purpose, eight bits a weight: it is measured, and small against the spread of good
frames; and a graph holds these statistics for every place.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Common modes taken out at most, the frames that each must at least be learned from, and those that all are learned
# from at most: their products are taken two by two.
_MODES, _FRAMES_A_MODE, _MODE_FRAMES = 8, 16, 1024

# A place's covariance counts as if so many more frames had shown the average covariance of all places.
_PRIOR_FRAMES = 12.0

# Share of the mean variance that every direction has at least: keeps constant features from deciding.
_LEAST_VARIANCE = 1e-4

# Rows of each place's whitening that are multiplied at once.
_ROWS = 4

# Longest side of what is remembered, places: 8 MB in the graph. Frames up to 640 pixels need no blocks.
_LONGEST_SIDE = 160


class PlaceDistance(nn.Module):
    """Maps [N, C, h, w] → distances [N, h, w], root mean square over the channels: about 1 where all is well."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, 1, 1, dtype=torch.float16))
        self.register_buffer("whitening", torch.eye(1))
        self.register_buffer("modes", torch.zeros(1, 1, dtype=torch.int8))
        self.register_buffer("mode_scale", torch.zeros(1, 1))
        self.register_buffer("local", torch.ones(1, 1, dtype=torch.int8))
        self.register_buffer("local_scale", torch.ones(1))
        self.mean: Tensor
        """Of good frames, [C, h, w]."""
        self.whitening: Tensor
        """Of all places together, [C, C]."""
        self.modes: Tensor
        """Common modes of whitened maps, [M, C·h·w], times `mode_scale` [M, 1] unit vectors."""
        self.mode_scale: Tensor
        self.local: Tensor
        """Whitening of each place, lower triangles row by row, [C·(C+1)/2, h·w], times `local_scale` [h·w]."""
        self.local_scale: Tensor

    def forward(self, maps: Tensor) -> Tensor:
        """Distances of maps [N, C, h, w], float32 [N, h, w], ≥ 0."""
        return self.squares(maps).sqrt().squeeze(1)

    def squares(self, maps: Tensor) -> Tensor:
        """Squared distances of maps [N, C, h, w], float32 [N, 1, h, w], ≥ 0."""
        block = -(-max(maps.shape[2:]) // max(self.mean.shape[1:]))
        squares = self._local_squares(self._without_modes(self._white(_blocks(maps, block))))
        if block == 1:
            return squares
        spread = functional.interpolate(squares, scale_factor=float(block), mode="nearest")
        return spread[:, :, : maps.shape[2], : maps.shape[3]]

    @torch.no_grad()
    def fit(self, maps: Tensor) -> None:
        """Learn the statistics of good frames from their maps [N, C, h, w], float32."""
        maps = _blocks(maps, -(-max(maps.shape[2:]) // _LONGEST_SIDE))
        count, channels, height, width = maps.shape
        self.mean = maps.mean(0).half()
        centred = maps - self.mean.float()
        self.whitening = _inverse_root(torch.einsum("nchw,ndhw->cd", centred, centred) / (count * height * width))
        white = self._white(maps)
        some = white[:: -(-count // _MODE_FRAMES)]
        self.modes, self.mode_scale = _common_modes(some, min(_MODES, len(some) // _FRAMES_A_MODE))
        rest = self._without_modes(white)
        places = rest.permute(2, 3, 1, 0).reshape(height * width, channels, count)
        covariances = (places @ places.transpose(1, 2) / count).reshape(height, width, channels * channels)
        pooled = functional.avg_pool2d(covariances.permute(2, 0, 1)[None], 3, 1, 1, count_include_pad=False)[0]
        everywhere = covariances.mean((0, 1)).reshape(channels, channels)
        by_place = pooled.permute(1, 2, 0).reshape(height * width, channels, channels)
        shrunk = (count * by_place + _PRIOR_FRAMES * everywhere) / (count + _PRIOR_FRAMES)
        rows, columns = _triangle(channels)
        local, scale = _in_eight_bits(_inverse_root(shrunk)[:, rows, columns])
        self.local, self.local_scale = local.T.contiguous(), scale.flatten()

    def _white(self, maps: Tensor) -> Tensor:
        # A convolution, which engines do in their own layout, and a constant: less than half of what a product of
        # centred maps costs them.
        centre = torch.einsum("cd,dhw->chw", self.whitening, self.mean.float())
        return functional.conv2d(maps, self.whitening[:, :, None, None]) - centre

    def _without_modes(self, white: Tensor) -> Tensor:
        modes = self.modes.float() * self.mode_scale
        flat = white.flatten(1)
        # Modes on the left: ONNX Runtime reads them row by row then, in a quarter of the time.
        shares = (modes @ flat[:, :, None]).squeeze(2)
        return torch.addmm(flat, shares, modes, alpha=-1.0).reshape(white.shape)

    def _local_squares(self, maps: Tensor) -> Tensor:
        """The products of a place's weights and features, some rows at a time, summed by a product with ones.

        A small matrix a place is what engines are slow with, and all products at once do not fit their caches: 16
        channels of 64×64 places took ONNX Runtime 0.46 ms that way, 8 frames 5.4 ms; so, 0.24 and 2.3 ms (one thread).
        """
        channels, height, width = maps.shape[1:]
        places, weights = maps.reshape(-1, 1, channels, height * width), self._square()
        whitened = []
        for first in range(0, channels, _ROWS):
            last = min(first + _ROWS, channels)
            products = weights[first:last, :last] * places[:, :, :last]
            whitened.append(torch.ones(1, last) @ products)
        rows = torch.cat(whitened, 1).squeeze(2)
        mean = torch.full((1, channels), 1.0 / channels) @ (rows * rows)
        return mean.reshape(-1, 1, height, width)

    def _square(self) -> Tensor:
        """Whitening of each place with its zeros, [C, C, h·w]; engines do this when they load."""
        channels = self.whitening.shape[0]
        rows, columns = _triangle(channels)
        at = torch.zeros((channels, channels), dtype=torch.long)
        at[rows, columns] = torch.arange(len(rows))
        square = self.local.float().index_select(0, at.flatten()) * torch.ones(channels, channels).tril().reshape(-1, 1)
        return (square * self.local_scale).reshape(channels, channels, -1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take over the sizes of what was fitted."""
        for name, buffer in self.named_buffers(recurse=False):
            setattr(self, name, torch.zeros_like(state_dict.get(f"{prefix}{name}", buffer)))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _blocks(maps: Tensor, side: int) -> Tensor:
    """Means over blocks of `side`×`side` places; those at the border may be smaller."""
    return maps if side == 1 else functional.avg_pool2d(maps, side, ceil_mode=True)


def explained(maps: Tensor) -> Tensor:
    """Share of the variance of good maps [N, C, h, w] that is due to where a place is, 0 … 1 (a scalar tensor).

    The coefficient of determination R² of each channel given the place, averaged over the channels: 0.9 for parts that
    guides hold on the simulated line, 0.06 for fillets that lie anyhow (fishbones), 0.01 for boards none of which is
    like another (DeepPCB).

    >>> ramp = torch.arange(8.0).expand(50, 1, 8, 8)
    >>> light = 10.0 * (torch.arange(50.0) % 2).reshape(50, 1, 1, 1)
    >>> float(explained(ramp)), round(float(explained(ramp + light)), 3)
    (1.0, 0.174)
    """
    total = maps.var((0, 2, 3), correction=0).clamp(min=1e-12)
    around = maps.var(0, correction=0).mean((1, 2))
    return (1.0 - around / total).mean().clamp(0.0, 1.0)


def _inverse_root(covariance: Tensor) -> Tensor:
    """Lower triangular W [..., C, C] with W·Σ·Wᵀ = 1 for covariances Σ [..., C, C]."""
    channels = covariance.shape[-1]
    least = _LEAST_VARIANCE * covariance.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-9)
    regular = covariance.double() + least.double()[..., None, None] * torch.eye(channels, dtype=torch.float64)
    root = torch.linalg.cholesky(regular)
    inverse: Tensor = torch.linalg.solve_triangular(root, torch.eye(channels, dtype=torch.float64), upper=False)
    return inverse.float()


def _common_modes(white: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Main directions [M, C·h·w] in eight bits of maps [N, C, h, w], by way of the frames' products [N, N]."""
    flat = white.flatten(1)
    if count == 0:
        return torch.zeros((1, flat.shape[1]), dtype=torch.int8), torch.zeros(1, 1)
    products = (flat @ flat.T).double()
    vectors = torch.linalg.eigh(products).eigenvectors[:, -count:].float()
    modes = vectors.T @ flat
    return _in_eight_bits(modes / modes.norm(dim=1, keepdim=True).clamp(min=1e-9))


def _in_eight_bits(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [R, K] → (int8 [R, K], scales [R, 1]) whose product they are, as near as eight bits come."""
    scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127.0
    return (rows / scale).round().to(torch.int8), scale


def _triangle(channels: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of a lower triangle, row by row."""
    rows, columns = torch.tril_indices(channels, channels)
    return rows, columns
