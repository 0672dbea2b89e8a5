"""Raw files of detectors are read by the format that is given, or rejected in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from engines.bundles import FileReading, RawFormat
from engines.errors import ImageError
from engines.images import list_images, read_image, read_shape


def reading(**changes: Any) -> FileReading:
    return FileReading(raw=RawFormat(**({"width": 10, "height": 6} | changes)))


def values(bits: int, frames: int = 1) -> np.ndarray:
    return np.random.default_rng(bits).integers(0, 2**bits, (frames, 6, 10))


@pytest.mark.parametrize(
    ("bits", "order", "stored"),
    [(8, "little", "u1"), (12, "little", "<u2"), (14, "big", ">u2"), (16, "little", "<u2"), (16, "big", ">u2")],
)
@pytest.mark.parametrize("header", [0, 7])
def test_samples_keep_their_values(tmp_path: Path, bits: int, order: str, stored: str, header: int) -> None:
    pixels = values(bits)[0]
    (tmp_path / "a.raw").write_bytes(bytes(header) + pixels.astype(stored).tobytes())
    how = reading(bits=bits, byte_order=order, header_bytes=header)
    found = read_image(tmp_path / "a.raw", how)
    np.testing.assert_array_equal(found[:, :, 0], pixels)
    assert found.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert read_shape(tmp_path / "a.raw", how) == (6, 10)


def test_each_frame_of_a_file_is_an_image(tmp_path: Path) -> None:
    frames = values(16, frames=4)
    (tmp_path / "a.raw").write_bytes(frames.astype("<u2").tobytes())
    (tmp_path / "notes.txt").write_text("x")
    paths = list_images(tmp_path, reading(frames=4))
    assert [path.name for path in paths] == ["a#1.raw", "a#2.raw", "a#3.raw", "a#4.raw"]
    for path, frame in zip(paths, frames, strict=True):
        np.testing.assert_array_equal(read_image(path, reading(frames=4))[:, :, 0], frame)


def test_float_is_read_by_the_range(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(np.linspace(0, 2, 60, dtype="<f4").tobytes())
    how = FileReading(raw=RawFormat(width=10, height=6, bits=32), value_range=(0.0, 1.0))
    assert read_image(tmp_path / "a.raw", how)[0, :2, 0].tolist() == [0, round(2 / 59 * 65535)]


@pytest.mark.parametrize(
    ("size", "how", "reason"),
    [
        (119, reading(), "119 bytes, wanted 120 for 10×6, 16 bit little-endian; truncated, or of another geometry"),
        (240, reading(), "240 bytes, wanted 120"),
        (120, reading(height=7), "120 bytes, wanted 140"),
        (120, reading(header_bytes=8), "wanted 128 for 10×6, 16 bit little-endian after 8 bytes"),
        (60, reading(bits=12), "60 bytes, wanted 120"),
        (120, reading(bits=12), "a value of 65535, wanted at most 4095: other bits or byte order?"),
        (120, FileReading(), "a raw file does not describe itself; wanted raw ="),
        (240, reading(frames=2), "2 frames in one raw file, wanted one of them, a#1.raw to a#2.raw"),
        (0, reading(), "empty file"),
    ],
)
def test_file_that_does_not_fit_the_format_is_rejected(
    tmp_path: Path, size: int, how: FileReading, reason: str
) -> None:
    (tmp_path / "a.raw").write_bytes(b"\xff" * size)
    with pytest.raises(ImageError) as caught:
        read_image(tmp_path / "a.raw", how)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_format_beyond_the_limit_is_rejected_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"x")
    with pytest.raises(ImageError, match="wanted at most 100 million"):
        read_image(tmp_path / "a.raw", reading(width=65_535, height=65_535))


@pytest.mark.parametrize("changes", [{"bits": 20}, {"bits": 4}, {"width": 0}, {"byte_order": "middle"}, {"x": 1}])
def test_mistake_in_the_format_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        reading(**changes)


@pytest.mark.parametrize("value_range", [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_range_that_does_not_rise_is_an_error(value_range: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="wanted a lower and a higher number"):
        FileReading(value_range=value_range)
