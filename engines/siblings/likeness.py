"""How alike two images are, whatever the shift between them: phase correlation, then correlation where they overlap.

Independent images have no peak in their phase correlation (Kuglin and Hines 1975); the same part has one, at the shift.
On a steady line all good parts look alike, so the set's mean and its main modes (light, position) are taken out of
every image first.

Overlaps of 55 % were found in 57, 52, 35 and 55 of 60 pairs (fish bones, solar cells, baggage, circuit boards; mean
taken out, no modes), the same image with noise, other light and a shift in all. Of pairs of different images, one in
300 to 20,000 passed, and those looked at were twins indeed: cells of one ingot, the same piece of baggage. In
those sets, 42 of 120 good test cells, 38 of 100 boards, 2 of 160 bags and no fish have siblings among the training
images.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.images import Image

_Maps = NDArray[np.float32]

# Sides of the thumbnails, pixels: of the first look at all pairs, and of the second one at those that pass it.
_COARSE, _FINE = 32, 64

# Higher frequencies than this share of the side are noise.
_BAND = 0.35

# Least height of the peak in the first and in the second look; 1 is an image with itself.
_COARSE_PEAK, _FINE_PEAK = 0.25, 0.25

# Least correlation of the pixels where both overlap, and least share of the image that does.
_LEAST_CORRELATION, _LEAST_OVERLAP = 0.7, 0.3

# Images that the mean and the modes of a set are computed from, least images for a mean, and modes.
_MODE_IMAGES, _LEAST_FOR_MEAN, _MOST_MODES, _IMAGES_PER_MODE = 256, 8, 4, 16

# A mode is one of the set if so large a share of the images has it, and so many. Of light and position most have some.
_SHARED_BY, _LEAST_SHARING = 0.25, 6

# Less contrast than this, gray levels of 255, is an empty image, which resembles all others.
_LEAST_CONTRAST = 0.5


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Small gray versions of images, [N, 64, 64], in 0 … 255."""

    pixels: _Maps

    def __len__(self) -> int:
        return len(self.pixels)

    def joined(self, others: Thumbnails) -> Thumbnails:
        """Both, these first."""
        return Thumbnails(np.concatenate([self.pixels, others.pixels]))

    def residuals(self) -> Residuals:
        """What is special about each image of this set: without its light and contrast, mean and main modes."""
        flat = self.pixels.reshape(len(self.pixels), -1)
        centred = flat - flat.mean(1, keepdims=True)
        spread = centred.std(1, keepdims=True)
        relative = centred / np.maximum(spread, _LEAST_CONTRAST)
        sample = relative[:: -(-len(relative) // _MODE_IMAGES)]
        mean = sample.mean(0) if len(sample) >= _LEAST_FOR_MEAN else np.zeros_like(sample[0])
        special = relative - mean
        for mode in _modes(sample - mean):
            special -= np.outer(special @ mode, mode)
        return Residuals(special.reshape(self.pixels.shape).astype(np.float32), spread[:, 0] < _LEAST_CONTRAST)


class Residuals:
    """What is special about each image of a set, [N, 64, 64], and its phases at both sizes."""

    def __init__(self, fine: _Maps, empty: NDArray[np.bool_]) -> None:
        self._fine, self._empty = fine, empty
        coarse = fine.reshape(len(fine), _COARSE, 2, _COARSE, 2).mean((2, 4), dtype=np.float32)
        self._coarse_phases, self._fine_phases = _phases(coarse), _phases(fine)

    def likely(self, index: int, others: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the others that may be siblings of an image: the first look."""
        if self._empty[index] or len(others) == 0:
            return others[:0]
        peaks = _correlation(self._coarse_phases[index], self._coarse_phases[others]).max((1, 2))
        return np.asarray(others[(peaks > _COARSE_PEAK) & ~self._empty[others]])

    def are_siblings(self, index: int, other: int) -> bool:
        """The second look at a pair."""
        correlation = _correlation(self._fine_phases[index], self._fine_phases[other])
        y, x = np.unravel_index(int(correlation.argmax()), correlation.shape)
        if correlation[y, x] <= _FINE_PEAK:
            return False
        shifts = [(dy, dx) for dy in (int(y), int(y) - _FINE) for dx in (int(x), int(x) - _FINE)]
        return max(_overlap(self._fine[index], self._fine[other], *shift) for shift in shifts) > _LEAST_CORRELATION


def thumbnails(images: Iterable[Image]) -> Thumbnails:
    """Shrink images [H, W, C] of any size and depth."""
    small = [_thumbnail(image) for image in images]
    return Thumbnails(np.stack(small) if small else np.zeros((0, _FINE, _FINE), np.float32))


def _thumbnail(image: Image) -> _Maps:
    small = cv2.resize(image, (_FINE, _FINE), interpolation=cv2.INTER_AREA).reshape(_FINE, _FINE, -1)
    return np.asarray(small.mean(axis=2, dtype=np.float32) * np.float32(255.0 / np.iinfo(image.dtype).max), np.float32)


def _modes(centred: _Maps) -> _Maps:
    """The main principal components of images [N, K] without their mean, unit vectors [M, K]: those that many share.

    One that few images share is what siblings have in common. The number that share one is its participation ratio.
    """
    count = min(_MOST_MODES, len(centred) // _IMAGES_PER_MODE)
    if count == 0:
        return centred[:0]
    loadings: Any = np.linalg.eigh(centred @ centred.T)[1][:, -count:].T
    sharing = 1.0 / np.maximum((loadings**4).sum(1), 1e-12)
    vectors = loadings[sharing >= max(_LEAST_SHARING, _SHARED_BY * len(centred))] @ centred
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)


def _phases(maps: _Maps) -> NDArray[np.complex64]:
    """The phase of each frequency of maps [N, s, s], 0 outside the band: [N, s, s/2 + 1]."""
    window, band = _window(maps.shape[1])
    centred = maps - maps.mean((1, 2), keepdims=True)
    spectra: Any = np.fft.rfft2(centred * window)
    return np.asarray(band * spectra / np.maximum(np.abs(spectra), 1e-6), np.complex64)


def _correlation(one: NDArray[np.complex64], others: NDArray[np.complex64]) -> _Maps:
    """Phase correlation of one spectrum with another, or with several; 1 at most."""
    side = one.shape[0]
    return np.asarray(np.fft.irfft2(one * np.conj(others), s=(side, side)) / _highest(side), np.float32)


@lru_cache
def _window(side: int) -> tuple[_Maps, _Maps]:
    """A window that fades the edges out, and the band of frequencies that counts."""
    taper = np.sqrt(np.hanning(side + 2)[1:-1])
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    distance = np.hypot(rows, columns)
    band = (distance > 0.5 / side) & (distance <= _BAND)
    return np.outer(taper, taper).astype(np.float32), band.astype(np.float32)


@lru_cache
def _highest(side: int) -> float:
    return float(np.fft.irfft2(_window(side)[1], s=(side, side)).max())


def _overlap(one: _Maps, other: _Maps, dy: int, dx: int) -> float:
    """Correlation of two images [s, s] where they overlap if the second is shifted; −1 if that is too little."""
    rows, columns = one.shape[0] - abs(dy), one.shape[1] - abs(dx)
    if rows <= 0 or columns <= 0 or rows * columns < _LEAST_OVERLAP * one.size:
        return -1.0
    first = one[max(0, dy) :, max(0, dx) :][:rows, :columns]
    second = other[max(0, -dy) :, max(0, -dx) :][:rows, :columns]
    first, second = first - first.mean(), second - second.mean()
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum() + 1e-6))
