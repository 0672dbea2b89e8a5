"""Size and orientation are read from the head of each format, and the orientation tag is applied in each."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.images.formats.head import read_head
from engines.images.formats.image_head import ImageHead
from engines.images.reading import read_image
from tests.engines.images.formats.tiff_files import tiff

# Smooth, so that JPEG keeps it to within a few grey levels, and different in each corner.
UPRIGHT = (np.add.outer(np.arange(24) * 6, np.arange(40) * 2)).astype(np.uint8)

# Exif 2.3, section 4.6.4: where the stored rows and columns begin; what a viewer does to show them.
UNDO = {
    1: lambda stored: stored,
    2: lambda stored: cv2.flip(stored, 1),
    3: lambda stored: cv2.rotate(stored, cv2.ROTATE_180),
    4: lambda stored: cv2.flip(stored, 0),
    5: lambda stored: cv2.transpose(stored),
    6: lambda stored: cv2.rotate(stored, cv2.ROTATE_90_CLOCKWISE),
    7: lambda stored: cv2.flip(cv2.transpose(stored), -1),
    8: lambda stored: cv2.rotate(stored, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def exif(orientation: int, order: str = "<") -> bytes:
    mark = b"II" if order == "<" else b"MM"
    return struct.pack(order + "2sHIHHHIHHI", mark, 42, 8, 1, 274, 3, 1, orientation, 0, 0)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    done, data = cv2.imencode(suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, 100] if suffix == ".jpg" else [])
    assert done
    return data.tobytes()


def tagged(suffix: str, stored: np.ndarray, orientation: int, order: str = "<") -> bytes:
    if suffix == ".tif":
        height, width = stored.shape
        return tiff([stored.tobytes()], width, height, order=order, t274=orientation)
    data = encoded(suffix, stored)
    if suffix == ".png":
        return data[:33] + chunk(b"eXIf", exif(orientation, order)) + data[33:]
    segment = b"Exif\0\0" + exif(orientation, order)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png"])
@pytest.mark.parametrize("orientation", sorted(UNDO))
def test_orientation_is_applied_in_every_format(tmp_path: Path, orientation: int, suffix: str, order: str) -> None:
    path = tmp_path / f"image{suffix}"
    path.write_bytes(tagged(suffix, UPRIGHT, orientation, order))
    image, wanted = read_image(path)[:, :, 0], UNDO[orientation](UPRIGHT)
    assert image.shape == wanted.shape
    assert np.abs(image.astype(int) - wanted).max() <= (2 if suffix == ".jpg" else 0)
    assert read_head(path.read_bytes()) == ImageHead(40, 24, orientation)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_outside_the_standard_is_upright(orientation: int) -> None:
    for suffix in (".tif", ".jpg", ".png"):
        assert read_head(tagged(suffix, UPRIGHT, orientation)).orientation == 1


def test_damaged_exif_is_upright() -> None:
    data = encoded(".png", UPRIGHT)
    assert read_head(data[:33] + chunk(b"eXIf", b"II*\0\xff\xff\xff\xff") + data[33:]) == ImageHead(40, 24)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_size_is_that_of_the_decoded_image(suffix: str) -> None:
    head = read_head(encoded(suffix, UPRIGHT))
    assert (head.width, head.height, head.several) == (40, 24, False)
