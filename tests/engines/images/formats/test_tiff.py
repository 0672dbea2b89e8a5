"""Each kind of TIFF is read as the file means it, or rejected in one line that names the reason."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundles import FileReading
from engines.errors import ImageError
from engines.images import list_images, read_shape
from engines.images.formats.tiff import parse_tiff
from engines.images.reading import read_image
from tests.engines.images.formats.tiff_files import packed, tiff

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
        ({"t258": 16, "t339": 3}, 2, "16-bit float, wanted 8 or 16 bits unsigned, or 32 or 64 bits of float"),
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


def test_second_page_is_an_image_but_a_thumbnail_or_a_mask_is_not(tmp_path: Path) -> None:
    single = tiff([GRAY.tobytes()], 10, 6)
    two = "2 pages in one TIFF file, wanted one of them, image#1.tif to image#2.tif"
    assert two in rejection(tmp_path, with_second_page(single, 2))
    for subfile_type in (1, 4):
        np.testing.assert_array_equal(read(tmp_path, with_second_page(single, subfile_type))[:, :, 0], GRAY)


@pytest.mark.parametrize("suffix", [".tif", ".tiff"])
def test_each_page_is_read_as_it_is_stored(tmp_path: Path, suffix: str) -> None:
    """Pages of other sizes, 16 bits, compressed, as OpenCV writes them."""
    random = np.random.default_rng(0)
    pages = [random.integers(0, 2**16, (6 + index, 9), np.uint16) for index in range(3)]
    assert cv2.imwritemulti(str(tmp_path / f"scan{suffix}"), pages)
    paths = list_images(tmp_path)
    assert [path.name for path in paths] == [f"scan#{number}{suffix}" for number in (1, 2, 3)]
    for path, page in zip(paths, pages, strict=True):
        np.testing.assert_array_equal(read_image(path)[:, :, 0], page)
        assert read_shape(path) == page.shape
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(tmp_path / f"scan#4{suffix}")


def test_thousands_of_directories_are_counted_in_little_time(tmp_path: Path) -> None:
    """Each with a thousand tags: a file of 30 MB that would keep its reader busy for minutes."""
    directory = struct.pack("<H", 1000) + struct.pack("<HHII", 300, 3, 1, 1) * 1000
    size = len(directory) + 4
    data = struct.pack("<4sI", b"II*\0", 8)
    data += b"".join(directory + struct.pack("<I", 8 + (index + 1) * size) for index in range(2500))
    begin = time.process_time()
    assert 900 < parse_tiff(data).pages < 2500
    assert time.process_time() - begin < 20.0


@pytest.mark.parametrize("bits", [32, 64])
def test_float_is_read_by_the_range_that_is_given(tmp_path: Path, bits: int) -> None:
    values = np.linspace(-0.5, 1.5, 60, dtype=f"<f{bits // 8}").reshape(6, 10)
    (tmp_path / "image.tif").write_bytes(tiff([values.tobytes()], 10, 6, t258=bits, t339=3))
    found = read_image(tmp_path / "image.tif", FileReading(value_range=(0.0, 1.0)))
    np.testing.assert_array_equal(found[:, :, 0], np.rint(values.clip(0, 1) * 65535))
    assert found.dtype == np.uint16


def test_float_without_a_range_is_read_if_it_has_whole_numbers_of_16_bits(tmp_path: Path) -> None:
    whole = np.arange(60, dtype="<f4").reshape(6, 10) * 1000
    for values, reason in (
        (whole, None),
        (whole + 0.5, "of 0.5 to"),
        (whole - 1, "of -1 to"),
        (whole * 9, "to 531000"),
    ):
        data = tiff([values.astype("<f4").tobytes()], 10, 6, t258=32, t339=3)
        if reason is None:
            np.testing.assert_array_equal(read(tmp_path, data)[:, :, 0], whole)
        else:
            assert reason in rejection(tmp_path, data)
    with_nan = np.where(whole == 3000, np.nan, whole)
    assert "not finite" in rejection(tmp_path, tiff([with_nan.tobytes()], 10, 6, t258=32, t339=3))


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
