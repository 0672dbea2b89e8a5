"""Each kind of TIFF is read as the file means it, or rejected in one line that names the reason."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from engines.errors import ImageError
from engines.images.reading import read_image
from engines.images.tiff import parse_tiff
from tests.engines.images.tiff_files import packed, tiff

GRAY = np.random.default_rng(0).integers(0, 256, (6, 10)).astype(np.uint8)
GRAY16 = np.random.default_rng(1).integers(0, 65536, (6, 10)).astype(np.uint16)
COLOUR = np.random.default_rng(2).integers(0, 256, (6, 10, 3)).astype(np.uint8)


def read(tmp_path: Path, data: bytes) -> np.ndarray:
    (tmp_path / "image.tif").write_bytes(data)
    return read_image(tmp_path / "image.tif")


def rejection(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read(tmp_path, data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pixels", [GRAY, GRAY16])
def test_gray_where_0_is_white_is_inverted(tmp_path: Path, pixels: np.ndarray, order: str, big: bool) -> None:
    raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    bits = pixels.dtype.itemsize * 8
    for photometric, wanted in ((1, pixels), (0, np.iinfo(pixels.dtype).max - pixels)):
        image = read(tmp_path, tiff([raw], 10, 6, big=big, order=order, t258=bits, t262=photometric))
        assert image.dtype == pixels.dtype
        np.testing.assert_array_equal(image[:, :, 0], wanted)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", [0, 1])
def test_packed_samples_keep_their_stored_values(tmp_path: Path, bits: int, photometric: int) -> None:
    values = GRAY16 >> (16 - bits)
    image = read(tmp_path, tiff([packed(values, bits)], 10, 6, t258=bits, t262=photometric))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image[:, :, 0], values if photometric else 2**bits - 1 - values)


@pytest.mark.parametrize("planar", [1, 2])
def test_8_bit_colour_is_read_interleaved_and_in_planes(tmp_path: Path, planar: int) -> None:
    planes = [COLOUR.tobytes()] if planar == 1 else [COLOUR[..., index].tobytes() for index in range(3)]
    image = read(tmp_path, tiff(planes, 10, 6, t258=(8, 8, 8), t262=2, t277=3, t284=planar))
    np.testing.assert_array_equal(image, COLOUR[:, :, ::-1])


def test_16_bit_colour_is_read_interleaved_and_rejected_in_planes(tmp_path: Path) -> None:
    colour = COLOUR.astype("<u2") * 257
    tags = {"t258": (16, 16, 16), "t262": 2, "t277": 3}
    np.testing.assert_array_equal(read(tmp_path, tiff([colour.tobytes()], 10, 6, **tags)), colour[:, :, ::-1])
    planes = [colour[..., index].tobytes() for index in range(3)]
    assert "16-bit colour in separate planes" in rejection(tmp_path, tiff(planes, 10, 6, t284=2, **tags))


@pytest.mark.parametrize(
    ("tags", "bytes_per_pixel", "reason"),
    [
        ({"t258": (16, 16), "t277": 2, "t338": 2}, 4, "gray with alpha in a TIFF of 16 bits"),
        ({"t258": (8, 8), "t277": 2, "t338": 2}, 2, "gray with alpha in a TIFF of 8 bits"),
        ({"t258": (8,) * 5, "t262": 2, "t277": 5}, 5, "5 samples per pixel"),
        ({"t258": (16,) * 4, "t262": 5, "t277": 4}, 8, "photometric interpretation 5"),
        ({"t258": (16,) * 3, "t262": 8, "t277": 3}, 6, "photometric interpretation 8"),
        ({"t258": 16, "t339": 2}, 2, "16-bit signed integers, wanted 8 or 16 bits unsigned"),
        ({"t258": 8, "t339": 2}, 1, "8-bit signed integers"),
        ({"t258": 32, "t339": 3}, 4, "32-bit float"),
        ({"t258": 32}, 4, "32 bits per sample, wanted at most 16"),
        ({"t254": 1}, 1, "its first image is a thumbnail"),
    ],
)
def test_kind_that_would_be_read_wrongly_is_rejected(
    tmp_path: Path, tags: dict[str, int], bytes_per_pixel: int, reason: str
) -> None:
    assert reason in rejection(tmp_path, tiff([bytes(60 * bytes_per_pixel)], 10, 6, **tags))


def with_second_page(first: bytes, subfile_type: int) -> bytes:
    """Append a second directory, a copy of the first one with tag 254, and link it."""
    (start,) = struct.unpack_from("<I", first, 4)
    (count,) = struct.unpack_from("<H", first, start)
    entries = first[start + 2 : start + 2 + 12 * count]
    second = struct.pack("<H", count + 1) + struct.pack("<HHII", 254, 4, 1, subfile_type) + entries + bytes(4)
    out = bytearray(first + second)
    struct.pack_into("<I", out, start + 2 + 12 * count, len(first))
    return bytes(out)


def test_second_page_is_rejected_but_not_a_thumbnail(tmp_path: Path) -> None:
    single = tiff([GRAY.tobytes()], 10, 6)
    assert "several pages in one TIFF file" in rejection(tmp_path, with_second_page(single, 2))
    np.testing.assert_array_equal(read(tmp_path, with_second_page(single, 1))[:, :, 0], GRAY)


def test_directory_that_links_to_itself_is_one_page() -> None:
    single = bytearray(tiff([GRAY.tobytes()], 10, 6))
    (start,) = struct.unpack_from("<I", single, 4)
    single[-4:] = struct.pack("<I", start)
    assert parse_tiff(bytes(single)).pages == 1


def test_mutated_tiff_is_read_or_rejected(tmp_path: Path) -> None:
    """1,000 files with up to four random bytes changed: no other error than ImageError."""
    random = np.random.default_rng(3)
    whole = np.frombuffer(tiff([GRAY16.astype("<u2").tobytes()], 10, 6, t258=16, t262=0, t274=6), np.uint8)
    rejected = 0
    for _ in range(1000):
        data = whole.copy()
        where = random.integers(120, len(data), random.integers(1, 5))
        data[where] = random.integers(0, 256, len(where))
        try:
            image = read(tmp_path, data.tobytes())
            assert image.dtype in (np.uint8, np.uint16)
            assert image.size > 0
        except ImageError:
            rejected += 1
    assert 100 < rejected < 1000
