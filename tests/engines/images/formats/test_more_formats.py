"""WebP, GIF and JPEG 2000, beside an independent reader: read as the file says, or rejected by name."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines.errors import ImageError
from engines.images import list_images, read_image
from engines.images.formats.head import read_head

Image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(5)
GRAY = RNG.integers(0, 256, (24, 33), np.uint8)
COLOUR = RNG.integers(0, 256, (24, 33, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (24, 33), np.uint16)
OPAQUE, CLEAR = (np.dstack([COLOUR, np.full((24, 33), alpha, np.uint8)]) for alpha in (255, 90))

WRITERS: dict[str, tuple[np.ndarray, str, dict[str, Any]]] = {
    "webp lossless": (COLOUR, "WEBP", {"lossless": True}),
    "webp lossy": (COLOUR, "WEBP", {"quality": 70}),
    "webp opaque": (OPAQUE, "WEBP", {"lossless": True, "exact": True}),
    "gif gray": (GRAY, "GIF", {}),
    "gif interlaced": (GRAY, "GIF", {"interlace": True}),
    "jp2 gray": (GRAY, "JPEG2000", {}),
    "jp2 16 bit": (DEEP, "JPEG2000", {}),
    "jp2 colour": (COLOUR, "JPEG2000", {}),
    "jp2 lossy": (COLOUR, "JPEG2000", {"irreversible": True, "quality_layers": [20]}),
}


def written(pixels: np.ndarray, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    pixels = np.asarray(image if image.mode.startswith("I") or image.mode == "L" else image.convert("RGB"))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels[:, :, ::-1]


def can_decode(suffix: str) -> bool:
    """OpenCV before 4.11 has no decoder for GIF."""
    return bool(cv2.haveImageWriter(suffix)) if suffix == ".gif" else True


@pytest.fixture(params=WRITERS)
def name_and_data(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    pixels, form, options = WRITERS[request.param]
    suffix = {"WEBP": ".webp", "GIF": ".gif", "JPEG2000": ".jp2"}[form]
    if not can_decode(suffix):
        pytest.skip(f"this OpenCV cannot decode {suffix}")
    return f"image{suffix}", written(pixels, form, **options)


def test_pixels_are_those_of_another_reader(tmp_path: Path, name_and_data: tuple[str, bytes]) -> None:
    name, data = name_and_data
    (tmp_path / name).write_bytes(data)
    image, other = read_image(tmp_path / name), by_pillow(data)
    if name.endswith(".gif"):  # gray too is read as three equal colours
        other = np.broadcast_to(other, image.shape)
    assert image.dtype == other.dtype
    assert np.array_equal(image, other)
    head = read_head(data)
    assert (head.height, head.width) == image.shape[:2]


def test_every_truncated_file_is_rejected(tmp_path: Path, name_and_data: tuple[str, bytes]) -> None:
    """At any length: also one that a decoder would fill up."""
    name, data = name_and_data
    file = tmp_path / name
    for length in (*range(1, 60), *range(60, len(data), 37), len(data) - 2, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(ImageError) as error:
            read_image(file)
        assert "\n" not in str(error.value)


def test_a_file_without_a_suffix_is_an_image_by_its_content(tmp_path: Path, name_and_data: tuple[str, bytes]) -> None:
    (tmp_path / "scan").write_bytes(name_and_data[1])
    (tmp_path / "README").write_text("no image")
    (tmp_path / "day").mkdir()
    assert list_images(tmp_path) == [tmp_path / "scan"]
    assert read_image(tmp_path / "scan").shape[:2] == (24, 33)


def test_orientation_of_webp_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "a.webp").write_bytes(written(COLOUR, "WEBP", lossless=True, exif=exif))
    assert np.array_equal(read_image(tmp_path / "a.webp"), np.rot90(COLOUR[:, :, ::-1], -1))


def animation(form: str) -> bytes:
    out = io.BytesIO()
    frames = [Image.fromarray(np.roll(COLOUR, step, axis=1)) for step in range(3)]
    frames[0].save(out, form, save_all=True, append_images=frames[1:])
    return out.getvalue()


def patched_jp2(offset: int, value: bytes, pixels: np.ndarray = DEEP) -> bytes:
    """A JP2 file with other bytes at an offset of its codestream."""
    data = written(pixels, "JPEG2000")
    start = data.index(b"\xff\x4f\xff\x51") + offset
    return data[:start] + value + data[start + len(value) :]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.webp", animation("WEBP"), "an animation of several images"),
        ("a.gif", animation("GIF"), "an animation of several images"),
        ("a.webp", written(CLEAR, "WEBP", lossless=True), "some pixels are transparent"),
        ("a.jp2", written(CLEAR, "JPEG2000"), "some pixels are transparent"),
        ("a.jp2", patched_jp2(42, b"\x0b"), r"\[12\] bits per sample in a JPEG 2000 file, wanted 8 or 16"),
        ("a.jp2", patched_jp2(42, b"\x8f"), "signed samples in a JPEG 2000 file"),
        ("a.jp2", patched_jp2(43, b"\x02\x02"), "subsampled colours"),
        ("a.jp2", patched_jp2(8, struct.pack(">2I", 60_000, 60_000)), "60000×60000 pixels, wanted at most"),
        ("a.gif", b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\0\0\0;", "60000×60000 pixels, wanted at most"),
    ],
)
def test_what_would_be_read_wrongly_is_rejected_by_name(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=reason) as error:
        read_image(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".jp2"])
def test_damaged_files_are_read_or_rejected_in_one_line(tmp_path: Path, suffix: str) -> None:
    form = {".webp": "WEBP", ".gif": "GIF", ".jp2": "JPEG2000"}[suffix]
    whole, rng = written(GRAY, form), np.random.default_rng(7)
    for _ in range(150):
        data = bytearray(whole)
        for position in rng.integers(0, len(data), 3):
            data[position] = rng.integers(0, 256)
        (tmp_path / f"a{suffix}").write_bytes(data)
        try:
            assert read_image(tmp_path / f"a{suffix}").ndim == 3
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most are rejected, but not all
