"""What a picture says about its camera: black, saturated, frozen, blurred; and its thumbnail, also as PNG."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Longest side of a thumbnail, pixels: enough to tell a hand from a scratch, 9 to 28 kB in memory.
THUMBNAIL_PIXELS = 96

# Levels are measured on at most this many pixels a side; the mean of a million-pixel picture moves by less than 0.1 %.
_SAMPLED_PIXELS = 256

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class PictureMeasures:
    """What is remembered of one picture; levels are shares of the full scale, 0 to 1."""

    checksum: int
    """CRC-32 of the pixels: equal pictures have equal ones."""
    mean_level: float
    """Mean brightness."""
    high_level: float
    """Level that 1 % of the pixels exceed."""
    saturated_share: float
    """Share of pixels at the top of the sensor's range."""
    sharpness: float
    """Variance of the Laplacian of the picture's middle, in squared levels."""


def measure(picture: Pixels) -> PictureMeasures:
    """Measure one picture [H, W, C], uint8 or uint16; under a millisecond for a megapixel."""
    full = float(np.iinfo(picture.dtype).max)
    sample = _every_so_often(picture)
    return PictureMeasures(
        checksum=zlib.crc32(np.ascontiguousarray(picture).data),
        mean_level=float(sample.mean()) / full,
        high_level=float(np.quantile(sample, 0.99)) / full,
        saturated_share=float(np.mean(sample >= saturation_level(sample))),
        sharpness=_laplacian_variance(_middle(picture)) / full**2,
    )


def sampled_pixels(picture: Pixels) -> Pixels:
    """Return about 4,096 pixels of the picture, always the same ones: to tell whether anything moved."""
    flat = picture.reshape(-1)
    sample: Pixels = flat[:: max(1, flat.size // 4096)].copy()
    return sample


def thumbnail(picture: Pixels) -> NDArray[np.uint8]:
    """Return a small 8-bit copy [h, w, C] by averaging; the longest side is at most `THUMBNAIL_PIXELS`."""
    height, width, channels = picture.shape
    step = -(-max(height, width) // THUMBNAIL_PIXELS)
    rows, columns = max(1, height // step), max(1, width // step)
    cut = picture[: rows * step, : columns * step]
    if min(height, width) < step:
        cut = cut[:1, :1]
    cells = cut.reshape(rows, -1, columns, cut.shape[1] // columns, channels).mean(axis=(1, 3))
    if picture.dtype == np.uint16:
        # 16-bit detectors rarely fill their range: stretched to what this picture holds, it can be looked at.
        cells = cells / max(float(cells.max()), 1.0) * 255
    return np.asarray(np.rint(cells), dtype=np.uint8)


def png(picture: NDArray[np.uint8]) -> bytes:
    """Encode an 8-bit picture [h, w, c], c = 1 (gray) or 3 (BGR), as PNG (ISO/IEC 15948)."""
    height, width, channels = picture.shape
    rows = picture if channels == 1 else picture[:, :, ::-1]
    lines = np.zeros((height, 1 + width * channels), dtype=np.uint8)
    lines[:, 1:] = rows.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _every_so_often(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    return picture[:: -(-height // _SAMPLED_PIXELS), :: -(-width // _SAMPLED_PIXELS)]


def saturation_level(sample: Pixels) -> float:
    """Return the level at which this sensor saturates: 10-, 12- and 14-bit sensors fill the low bits of sixteen."""
    if sample.dtype == np.uint8:
        return 254.0
    highest = float(sample.max())
    return next((top for top in (1023.0, 4095.0, 16383.0) if highest == top), 65_520.0)


def _middle(picture: Pixels) -> NDArray[np.float64]:
    height, width = picture.shape[:2]
    top, left = max(0, (height - _SAMPLED_PIXELS) // 2), max(0, (width - _SAMPLED_PIXELS) // 2)
    cut = picture[top : top + _SAMPLED_PIXELS, left : left + _SAMPLED_PIXELS]
    return np.asarray(cut.mean(axis=2, dtype=np.float64))


def _laplacian_variance(gray: NDArray[np.float64]) -> float:
    """Variance of the discrete Laplacian, the usual measure of focus (Pech-Pacheco 2000)."""
    if min(gray.shape) < 3:
        return 0.0
    inner = gray[1:-1, 1:-1]
    laplacian = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * inner
    return float(laplacian.var())
