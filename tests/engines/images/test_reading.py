"""Images are read as the file means them, completely and in their own bit depth, or rejected in one line."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import ImageError
from engines.images import list_images, read_image


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def write(path: Path, pixels: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path


def rejection(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_read_of_8_bit_images_is_exact(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels = noise(20, 30, channels)
    image = read_image(write(tmp_path / f"image.{suffix}", pixels))
    np.testing.assert_array_equal(image, pixels)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_read_of_16_bit_images_is_exact(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels = noise(20, 30, channels, dtype=np.uint16)
    image = read_image(write(tmp_path / f"image.{suffix}", pixels))
    np.testing.assert_array_equal(image, pixels)
    assert image.dtype == np.uint16


@pytest.mark.parametrize("channels", [1, 3])
def test_read_of_a_jpeg_keeps_its_channels(tmp_path: Path, channels: int) -> None:
    image = read_image(write(tmp_path / "image.jpg", np.full((16, 24, channels), 120, np.uint8)))
    assert image.shape == (16, 24, channels)
    assert abs(int(image.mean()) - 120) <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_read_drops_an_opaque_alpha_and_rejects_a_transparent_pixel(tmp_path: Path, suffix: str, dtype: type) -> None:
    pixels = noise(20, 30, 4, dtype=dtype)
    pixels[:, :, 3] = np.iinfo(dtype).max
    np.testing.assert_array_equal(read_image(write(tmp_path / f"image.{suffix}", pixels)), pixels[:, :, :3])
    pixels[7, 8, 3] //= 2
    assert "some pixels are transparent" in rejection(write(tmp_path / f"image.{suffix}", pixels))


def test_read_accepts_a_name_that_is_not_ascii(tmp_path: Path) -> None:
    write(tmp_path / "plain.png", noise(8, 8))
    (tmp_path / "plain.png").rename(tmp_path / "gräte 1.png")
    assert read_image(tmp_path / "gräte 1.png").shape == (8, 8, 1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_read_of_a_truncated_file_is_rejected(tmp_path: Path, suffix: str, share: float) -> None:
    """Decoders fill the missing half with gray."""
    path = write(tmp_path / f"image.{suffix}", noise(64, 64, 3))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "truncated" in rejection(path)


def test_read_of_a_truncated_jpeg_with_a_complete_thumbnail_is_rejected(tmp_path: Path) -> None:
    thumbnail = write(tmp_path / "small.jpg", noise(8, 8)).read_bytes()
    large = write(tmp_path / "large.jpg", noise(64, 64)).read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = large[:2] + segment + large[2:]
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "half.jpg").write_bytes(whole[:-200])
    assert read_image(tmp_path / "whole.jpg").shape == (64, 64, 1)
    assert "truncated" in rejection(tmp_path / "half.jpg")


def test_read_of_a_png_with_a_flipped_bit_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "image.png", noise(64, 64))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert "damaged" in rejection(path)


def test_read_of_text_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("shift 2, line 4")
    assert "not a PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000 or DICOM image" in rejection(tmp_path / "notes.png")


def test_read_of_an_empty_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert "empty file" in rejection(tmp_path / "empty.png")


def test_read_of_a_missing_file_or_a_folder_is_rejected(tmp_path: Path) -> None:
    assert "cannot be read" in rejection(tmp_path / "nowhere.png")
    assert "cannot be read" in rejection(tmp_path)


@pytest.mark.timeout(20)
def test_pipe_under_the_name_of_an_image_is_rejected_at_once(tmp_path: Path) -> None:
    """Also one that takes the place of a file after the folder was listed: reading it would never end."""
    os.mkfifo(tmp_path / "part.png")
    assert "cannot be read (a folder, pipe or device, wanted an image file)" in rejection(tmp_path / "part.png")


def write_dicom(path: Path, pixels: np.ndarray, *, bits: int, photometric: str = "MONOCHROME2") -> Path:
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = pixels.dtype.itemsize * 8, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_read_of_dicom_keeps_stored_values(tmp_path: Path) -> None:
    pixels = noise(16, 20, dtype=np.uint16) % 4096
    image = read_image(write_dicom(tmp_path / "xray.dcm", pixels, bits=12))
    np.testing.assert_array_equal(image[:, :, 0], pixels)
    assert image.dtype == np.uint16


def test_read_of_dicom_where_0_is_white_is_inverted(tmp_path: Path) -> None:
    pixels = noise(16, 20, dtype=np.uint16) % 4096
    image = read_image(write_dicom(tmp_path / "xray.dcm", pixels, bits=12, photometric="MONOCHROME1"))
    np.testing.assert_array_equal(image[:, :, 0], 4095 - pixels)


def test_read_of_signed_dicom_is_shifted(tmp_path: Path) -> None:
    pixels = np.array([[-2048, 0], [5, 2047]], np.int16)
    image = read_image(write_dicom(tmp_path / "xray.dcm", pixels, bits=12))
    assert image[:, :, 0].tolist() == [[0, 2048], [2053, 4095]]


def test_read_of_half_a_dicom_file_is_rejected(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "half.dcm", noise(64, 64, dtype=np.uint16), bits=16)
    path.write_bytes(path.read_bytes()[:-2000])
    assert "DICOM" in rejection(path)


def test_read_of_a_deflated_dicom_is_rejected(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    path = write_dicom(tmp_path / "xray.dcm", noise(16, 20, dtype=np.uint16), bits=16)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    assert "a deflated DICOM file" in rejection(path)


def test_list_is_sorted_and_has_images_only(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "c.tiff"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.tiff"]


def test_list_of_a_missing_folder_or_a_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such folder, wanted a folder of images"):
        list_images(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="not a folder"):
        list_images(tmp_path / "file")
