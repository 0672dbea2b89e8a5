"""Measures of an image that show a camera fault: brightness, saturation, sharpness; and thumbnails, also as PNG."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Longest side of a thumbnail, pixels: enough to distinguish a hand from a scratch, 9 to 28 kB in memory.
THUMBNAIL_PIXELS = 96

# Levels are measured on at most this many pixels a side; the mean of a million-pixel image changes by less than 0.1 %.
_SAMPLED_PIXELS = 256

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class ImageMeasures:
    """Measures of one image; levels are shares of full scale, 0 to 1."""

    checksum: int
    """CRC-32 of the pixels: the same for equal images."""
    mean_level: float
    """Mean brightness."""
    high_level: float
    """Level exceeded by 1 % of the pixels."""
    saturated_share: float
    """Share of pixels at the top of the sensor's range, 0 to 1."""
    sharpness: float
    """Variance of the Laplacian in the middle of the image, squared levels."""


def measure_image(image: Pixels) -> ImageMeasures:
    """Measure one image [H, W, C], uint8 or uint16; under a millisecond for a megapixel."""
    full = float(np.iinfo(image.dtype).max)
    sample = _subsampled(image)
    return ImageMeasures(
        checksum=zlib.crc32(np.ascontiguousarray(image).data),
        mean_level=float(sample.mean()) / full,
        high_level=float(np.quantile(sample, 0.99)) / full,
        saturated_share=float(np.mean(sample >= saturation_level(sample))),
        sharpness=_laplacian_variance(_middle(image)) / full**2,
    )


def sampled_pixels(image: Pixels) -> Pixels:
    """Return a copy of about 4,096 pixels, always at the same places, to detect whether anything moved."""
    flat = image.reshape(-1)
    sample: Pixels = flat[:: max(1, flat.size // 4096)].copy()
    return sample


def thumbnail(image: Pixels) -> Pixels:
    """Return a copy [h, w, C] of the same type, reduced by averaging to at most `THUMBNAIL_PIXELS` on its long side."""
    height, width, channels = image.shape
    step = -(-max(height, width) // THUMBNAIL_PIXELS)
    rows, columns = max(1, height // step), max(1, width // step)
    cut = image[: rows * step, : columns * step]
    if min(height, width) < step:
        cut = cut[:1, :1]
    cells = cut.reshape(rows, -1, columns, cut.shape[1] // columns, channels).mean(axis=(1, 3))
    reduced: Pixels = np.rint(cells).astype(image.dtype)
    return reduced


def shown_between(image: Pixels, levels: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return an image [h, w, C] as 8 bits, from black at the first level to white at the second one.

    16-bit detectors rarely use their full range: without levels, those are used that all but one in a hundred pixels
    keep within. Images of 8 bits stay as they are.

    >>> shown_between(np.array([[[0], [2000], [4000]]], np.uint16), (0, 4000)).ravel().tolist()
    [0, 128, 255]
    """
    if image.dtype == np.uint8:
        return np.asarray(image, dtype=np.uint8)
    low, high = np.quantile(image, (0.01, 0.99)) if levels is None else levels
    return np.asarray(np.rint(255 * np.clip((image - low) / max(high - low, 1.0), 0.0, 1.0)), dtype=np.uint8)


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encode an 8-bit image [h, w, c], c = 1 (gray) or 3 (BGR), as PNG (ISO/IEC 15948)."""
    height, width, channels = image.shape
    rows = image if channels == 1 else image[:, :, ::-1]
    lines = np.zeros((height, 1 + width * channels), dtype=np.uint8)
    lines[:, 1:] = rows.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _subsampled(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    return image[:: -(-height // _SAMPLED_PIXELS), :: -(-width // _SAMPLED_PIXELS)]


def saturation_level(sample: Pixels) -> float:
    """Return the level at which this sensor saturates: 10-, 12- and 14-bit sensors use the low bits of sixteen."""
    if sample.dtype == np.uint8:
        return 254.0
    highest = float(sample.max())
    return next((top for top in (1023.0, 4095.0, 16383.0) if highest == top), 65_520.0)


def _middle(image: Pixels) -> NDArray[np.float64]:
    height, width = image.shape[:2]
    top, left = max(0, (height - _SAMPLED_PIXELS) // 2), max(0, (width - _SAMPLED_PIXELS) // 2)
    cut = image[top : top + _SAMPLED_PIXELS, left : left + _SAMPLED_PIXELS]
    return np.asarray(cut.mean(axis=2, dtype=np.float64))


def _laplacian_variance(gray: NDArray[np.float64]) -> float:
    """Variance of the discrete Laplacian, a common measure of focus (Pech-Pacheco 2000)."""
    if min(gray.shape) < 3:
        return 0.0
    inner = gray[1:-1, 1:-1]
    laplacian = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * inner
    return float(laplacian.var())
