"""A small file that decodes to gigabytes is rejected by its head, in one line and little memory."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import ImageError
from engines.images.limits import MAX_PIXELS
from engines.images.reading import read_image
from tests.engines.images.formats.test_head import chunk
from tests.engines.images.formats.tiff_files import tiff

SIDE = 29_000
MORE = f"{SIDE}×{SIDE} pixels, wanted at most 100 million"


def png(width: int, height: int, *more: bytes) -> bytes:
    """A complete PNG of black pixels, gray, 8 bits."""
    packer, rows = zlib.compressobj(9), []
    for _ in range(height):
        rows.append(packer.compress(bytes(width + 1)))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", b"".join(rows) + packer.flush())
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + pixels + chunk(b"IEND", b"")


def jpeg_of_a_large_size() -> bytes:
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16), np.uint8))[1].tobytes())
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, SIDE, SIDE)
    return bytes(data)


def bmp_of_a_large_size() -> bytes:
    data = bytearray(cv2.imencode(".bmp", np.zeros((16, 16), np.uint8))[1].tobytes())
    struct.pack_into("<iiHHI", data, 18, SIDE, -SIDE, 1, 8, 1)  # compressed by run lengths
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        tiff([bytes(100)], SIDE, SIDE),
        tiff([bytes(100)], SIDE, SIDE, big=True),
        jpeg_of_a_large_size(),
        bmp_of_a_large_size(),
    ],
    ids=["tiff", "bigtiff", "jpeg", "bmp"],
)
def test_size_above_the_limit_is_rejected_in_every_format(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "image.png").write_bytes(data)
    with pytest.raises(ImageError, match=MORE):
        read_image(tmp_path / "image.png")


def test_small_png_of_gigabytes_takes_little_memory(tmp_path: Path) -> None:
    """The process that reads it needs 100 MB more than one that only imports the reader, at most."""
    path = tmp_path / "image.png"
    path.write_bytes(png(SIDE, SIDE))
    assert path.stat().st_size < 1_000_000
    code = (
        "import resource, sys\n"
        "from engines.images.reading import read_image\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak()\n"
        "try: read_image(sys.argv[1])\n"
        "except Exception as error: print(error)\n"
        "print(peak() - before)\n"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    reason, megabytes = out.splitlines()
    assert MORE in reason
    assert int(megabytes) < 100


def test_image_at_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(png(MAX_PIXELS // 10, 10))
    with pytest.raises(ImageError, match=r"cannot be decoded|cannot decode"):  # a side above OpenCV's 2^20
        read_image(tmp_path / "image.png")
    (tmp_path / "image.png").write_bytes(png(10_000, 10_000))
    assert read_image(tmp_path / "image.png").shape == (10_000, 10_000, 1)


def test_animation_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(png(8, 8, chunk(b"acTL", struct.pack(">II", 2, 0))))
    with pytest.raises(ImageError, match="an animation of several images"):
        read_image(tmp_path / "image.png")
