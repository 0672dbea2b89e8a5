"""DICOM as X-ray machines write it: several frames, rescaled values, every compression, and files made to do harm."""

from __future__ import annotations

import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.bundles import FileReading
from engines.errors import ImageError
from engines.images import list_images, read_image
from tests.support.dicom import write_image

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")


def xray(bits: int = 12, frames: int = 1, side: int = 32) -> np.ndarray:
    """[frames, H, W], smooth, so that codecs have something to do."""
    y, x = np.mgrid[0:side, 0 : side + 8]
    return np.stack([((y * 7 + x * 3 + 11 * index) % 2**bits).astype(np.uint16) for index in range(frames)])


def write(path: Path, pixels: np.ndarray, **attributes: Any) -> Path:
    """A DICOM file of frames [N, H, W]."""
    write_image(path, pixels[0], number=1)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = pixels.astype("<u2").tobytes()
    if len(pixels) > 1:
        dataset.NumberOfFrames = len(pixels)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def rejection(path: Path, reading: FileReading | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(path, reading)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("bits", [8, 12, 14, 16])
def test_stored_values_are_kept_whatever_the_window(tmp_path: Path, bits: int) -> None:
    pixels = xray(bits)
    path = write(tmp_path / "a.dcm", pixels, BitsStored=bits, HighBit=bits - 1, WindowCenter="40", WindowWidth="80")
    np.testing.assert_array_equal(read_image(path)[:, :, 0], pixels[0])


def test_each_frame_is_an_image(tmp_path: Path) -> None:
    pixels = xray(frames=3)
    path = write(tmp_path / "casting.dcm", pixels)
    found = list_images(tmp_path)
    assert [each.name for each in found] == ["casting#1.dcm", "casting#2.dcm", "casting#3.dcm"]
    for each, frame in zip(found, pixels, strict=True):
        np.testing.assert_array_equal(read_image(each)[:, :, 0], frame)
    assert "3 frames in one DICOM file, wanted one of them, casting#1.dcm to casting#3.dcm" in rejection(path)
    assert "number 4 of 3 frames" in rejection(tmp_path / "casting#4.dcm")


def test_a_thousand_frames_are_read_one_at_a_time(tmp_path: Path) -> None:
    """Some 84 MB: the last frame needs the memory of one."""
    pixels = np.repeat(xray(side=200), 1000, axis=0)
    pixels[-1] = 7
    write(tmp_path / "film.dcm", pixels)
    del pixels
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    paths = list_images(tmp_path)
    assert len(paths) == 1000
    assert (read_image(paths[-1]) == 7).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_rescaled_values_are_mapped_by_the_range(tmp_path: Path, photometric: str) -> None:
    pixels = xray()
    path = write(
        tmp_path / "a.dcm", pixels, RescaleSlope="0.5", RescaleIntercept="-1", PhotometricInterpretation=photometric
    )
    assert "value_range" in rejection(path)
    found = read_image(path, FileReading(value_range=(-1.0, 2000.0)))[:, :, 0]
    wanted = np.rint(pixels[0] * 0.5 / 2001 * 65535)
    np.testing.assert_array_equal(found, wanted if photometric == "MONOCHROME2" else 65535 - wanted)


def test_range_of_65536_numbers_keeps_each_of_a_ct(tmp_path: Path) -> None:
    pixels = xray()
    path = write(tmp_path / "a.dcm", pixels, RescaleSlope="1", RescaleIntercept="-1024")
    np.testing.assert_array_equal(read_image(path)[:, :, 0], pixels[0])
    found = read_image(path, FileReading(value_range=(-1024.0, 64511.0)))
    np.testing.assert_array_equal(found[:, :, 0], pixels[0])


def test_scale_of_a_frame_is_found_in_its_functional_group(tmp_path: Path) -> None:
    """As in enhanced images, where each frame may have its own."""

    def group(slope: str) -> Any:
        transformation, found = pydicom.Dataset(), pydicom.Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = slope, "0", "US"
        found.PixelValueTransformationSequence = [transformation]
        return found

    pixels = xray(frames=2)
    write(tmp_path / "a.dcm", pixels, PerFrameFunctionalGroupsSequence=[group("1"), group("2")])
    found = [read_image(path)[:, :, 0] for path in list_images(tmp_path)]
    np.testing.assert_array_equal(found, [pixels[0], pixels[1] * 2])


def test_modality_lookup_table_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", xray(), ModalityLUTSequence=[pydicom.Dataset()])
    assert "modality lookup table" in rejection(path)


@pytest.mark.parametrize("name", ["RLELossless", "JPEGLSLossless", "JPEG2000Lossless"])
def test_compressed_frames_are_read(tmp_path: Path, name: str) -> None:
    pixels = xray(frames=3)
    path = write(tmp_path / "a.dcm", pixels)
    dataset = pydicom.dcmread(path)
    try:
        dataset.compress(getattr(pydicom.uid, name))
    except RuntimeError as error:
        pytest.skip(str(error))
    dataset.save_as(path)
    for each, frame in zip(list_images(tmp_path), pixels, strict=True):
        np.testing.assert_array_equal(read_image(each)[:, :, 0], frame)


def encapsulated(path: Path, syntax: str, frame: bytes, **attributes: Any) -> Path:
    """A file with these compressed data."""
    from pydicom.encaps import encapsulate

    write(path, xray(), **attributes)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    return path


def test_large_codestream_under_a_small_head_is_rejected_before_it_is_decoded(tmp_path: Path) -> None:
    """Decoders reserve what the codestream asks for, 7 GB here."""
    siz = struct.pack(">HHIIIIIIIIH3B", 41, 0, 60_000, 60_000, 0, 0, 60_000, 60_000, 0, 0, 1, 15, 1, 1)
    path = encapsulated(tmp_path / "a.dcm", "JPEG2000Lossless", b"\xff\x4f\xff\x51" + siz + b"\xff\xd9")
    assert "60000×60000 pixels in the compressed data, wanted 40×32 as in the head" in rejection(path)
    sof = b"\xff\xd8\xff\xc3" + struct.pack(">HBHHB3B", 11, 16, 60_000, 60_000, 1, 1, 17, 0) + b"\xff\xd9"
    path = encapsulated(tmp_path / "b.dcm", "JPEGLosslessSV1", sof)
    assert "60000×60000 pixels in the compressed data" in rejection(path)


def test_rle_that_would_unpack_to_gigabytes_is_rejected(tmp_path: Path) -> None:
    path = encapsulated(
        tmp_path / "a.dcm", "RLELossless", struct.pack("<16I", 2, 64, 128, *[0] * 13) + b"\x81\0" * 10**6
    )
    assert "bytes of RLE for 40×32 pixels" in rejection(path)


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGLSLossless", "RLELossless", "JPEGBaseline8Bit"])
def test_garbage_for_compressed_data_is_rejected(tmp_path: Path, syntax: str) -> None:
    rejection(encapsulated(tmp_path / "a.dcm", syntax, bytes(range(100)) * 4))


def test_jpeg_with_12_bits_names_the_package_that_it_needs(tmp_path: Path) -> None:
    sof = b"\xff\xd8\xff\xc1" + struct.pack(">HBHHB3B", 11, 12, 32, 40, 1, 1, 17, 0) + b"\xff\xd9"
    path = encapsulated(tmp_path / "a.dcm", "JPEGExtended12Bit", sof)
    assert "needs pylibjpeg-libjpeg (licence GPL, not part of inspectd): pip install" in rejection(path)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"NumberOfFrames": 2_000_000_000}, "truncated or damaged"),
        ({"Rows": 60_000, "Columns": 60_000}, "wanted at most 100 million"),
        ({"Rows": 0}, "wanted at least one"),
        ({"Rows": 64}, "wanted 5120 or more for 1 frame; truncated or damaged"),
    ],
)
def test_head_that_claims_more_than_there_is_is_rejected(
    tmp_path: Path, attributes: dict[str, int], reason: str
) -> None:
    write(tmp_path / "a.dcm", xray(), **attributes)
    paths = list_images(tmp_path)
    assert len(paths) == 1
    assert reason in rejection(paths[0])
