"""Pixel formats: what a camera sends, packed bit by bit here, is read back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.core.errors import Permanent, Temporary
from agent.sources.genicam.pixels import FORMATS, PixelFormat, image_of

CODES = {each.name: code for code, each in FORMATS.items()}

WIDTH, HEIGHT = 10, 6


def packed(values: NDArray[np.uint16], found: PixelFormat) -> NDArray[np.uint8]:
    """The bytes of samples [N], one bit at a time."""
    if found.packed == "Packed":
        bits = found.bits
        pairs = [(int(a), int(b)) for a, b in zip(values[0::2], values[1::2], strict=True)]
        low = (1 << (bits - 8)) - 1
        triples = [(a >> bits - 8, (b & low) << 4 | (a & low), b >> bits - 8) for a, b in pairs]
        return np.array(triples, np.uint8).reshape(-1)
    if found.packed == "p":
        stream = "".join(format(int(value), f"0{found.bits}b")[::-1] for value in values)
        return np.packbits(np.array(list(stream), np.uint8), bitorder="little")
    return values.astype("<u2" if found.bits == 16 else np.uint8).view(np.uint8)


def samples(name: str) -> NDArray[np.uint16]:
    """Random values of a gray image [H, W] in the range of a format."""
    bits = int("".join(digit for digit in name.partition("Mono")[2] if digit.isdigit()))
    return np.random.default_rng(bits).integers(0, 2**bits, (HEIGHT, WIDTH)).astype(np.uint16)


@pytest.mark.parametrize("name", [name for name in CODES if name.startswith("Mono")])
def test_gray_values_keep_their_scale(name: str) -> None:
    values = samples(name)
    data = packed(values.reshape(-1), FORMATS[CODES[name]])
    image = image_of(data, CODES[name], WIDTH, HEIGHT, 0, "camera")
    assert image.shape == (HEIGHT, WIDTH, 1)
    assert image.dtype == (np.uint8 if name == "Mono8" else np.uint16)
    assert np.array_equal(image[:, :, 0], values)
    assert not np.shares_memory(image, data)


def test_an_odd_number_of_packed_pixels_is_complete() -> None:
    values = np.array([0xABC, 0x123, 0xFED], np.uint16)
    for name in ("Mono12p", "Mono12Packed"):
        found = FORMATS[CODES[name]]
        data = packed(np.append(values, 0).astype(np.uint16), found)[:5]
        assert image_of(data, CODES[name], 3, 1, 0, "camera").reshape(-1).tolist() == values.tolist()


@pytest.mark.parametrize("pattern", ["RG", "GR", "GB", "BG"])
@pytest.mark.parametrize("suffix", ["8", "12", "12p", "10Packed"])
def test_bayer_patterns_give_their_colour(pattern: str, suffix: str) -> None:
    """An orange surface, as each sensor samples it."""
    of_letter = {"B": 30, "G": 110, "R": 220}
    tile = {"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR"}[pattern]
    values = np.tile(np.array([of_letter[letter] for letter in tile], np.uint16).reshape(2, 2), (HEIGHT, WIDTH))
    name = f"Bayer{pattern}{suffix}"
    data = packed(values.reshape(-1), FORMATS[CODES[name]])
    image = image_of(data, CODES[name], 2 * WIDTH, 2 * HEIGHT, 0, "camera")
    assert image[HEIGHT, WIDTH].tolist() == [30, 110, 220], "BGR"


def test_rgb_and_bgr_are_told_apart() -> None:
    data = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8).reshape(-1)
    assert image_of(data, CODES["RGB8"], 2, 1, 0, "camera").tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert image_of(data, CODES["BGR8"], 2, 1, 0, "camera").tolist() == [[[1, 2, 3], [4, 5, 6]]]
    data = np.array([[[1, 2, 3, 255], [4, 5, 6, 0]]], np.uint8).reshape(-1)
    assert image_of(data, CODES["RGBa8"], 2, 1, 0, "camera").tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert image_of(data, CODES["BGRa8"], 2, 1, 0, "camera").tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_padding_after_each_row_is_left_out() -> None:
    rows = np.array([[1, 2, 3, 99], [4, 5, 6, 99]], np.uint8)
    assert image_of(rows.reshape(-1), CODES["Mono8"], 3, 2, 1, "camera")[:, :, 0].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_data_behind_the_image_is_left_out() -> None:
    data = np.arange(20, dtype=np.uint8)
    assert image_of(data, CODES["Mono8"], 3, 2, 0, "camera").reshape(-1).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_short_buffer_is_rejected() -> None:
    with pytest.raises(Temporary, match="sent 5 bytes for 3×2 pixels of Mono8, wanted 6"):
        image_of(np.zeros(5, np.uint8), CODES["Mono8"], 3, 2, 0, "camera")


def test_an_unknown_format_is_rejected_with_its_number() -> None:
    with pytest.raises(Permanent, match=r"format 0x02100032, wanted Mono8 to Mono16.*: set pixel_format"):
        image_of(np.zeros(100, np.uint8), 0x02100032, 3, 2, 0, "camera")
