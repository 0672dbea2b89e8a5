"""From a file or a camera's array to the frame that a model takes.

Sixteen bits stay sixteen bits: nothing here scales grey values, that is the network's own first step.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import Geometry
from engines.errors import ImageError

Image = NDArray[np.uint8] | NDArray[np.uint16]
"""Pixels, [H, W, C]: C is 1 (gray) or 3 (BGR)."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm"})
"""Names that count as images, in any case."""

# OpenCV itself refuses pictures above 2^30 pixels; a file of more bytes than that is no single frame of a line camera.
_MAX_FILE_BYTES = 2**30


def list_images(folder: Path | str) -> list[Path]:
    """Return the image files directly inside a folder, sorted by name; ImageError where there is no such folder."""
    path = Path(folder)
    if not path.is_dir():
        raise ImageError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}, wanted a folder of images")
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise ImageError(f"{path}: cannot be listed ({error.strerror or error})") from None
    return [entry for entry in entries if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")]


def read_image(path: Path | str) -> Image:
    """Read one picture, [H, W, 1] gray or [H, W, 3] BGR, uint8 or uint16 as the file has it.

    PNG, JPEG, TIFF and BMP; DICOM where pydicom is installed. An alpha channel is dropped; the orientation that a
    phone may have noted is ignored, as a line camera's is fixed. ImageError for whatever is unreadable, truncated or
    no picture.
    """
    file = Path(path)
    data = _read_bytes(file)
    if data[128:132] == b"DICM" or file.suffix.lower() == ".dcm":
        from engines.images.dicom import read_dicom

        return read_dicom(file, data)
    check = _format_check(data)
    if check is None:
        raise ImageError(f"{file}: not a PNG, JPEG, TIFF, BMP or DICOM picture")
    if not check(data):
        raise ImageError(f"{file}: truncated or damaged")
    return _decode(file, data)


def fit(image: Image, geometry: Geometry) -> Image:
    """Bring a picture [H, W, C] to a model's input [h, w, c], same dtype; the result may share memory with the picture.

    Shrinks by area and enlarges linearly, both axes on their own, and turns gray into BGR or BGR into gray where the
    model wants the other. A wrong bit depth is an ImageError: 8 bits stretched to 16 would not look like what the
    model learned.
    """
    check_image(image)
    if image.dtype != geometry.dtype:
        raise ImageError(
            f"the picture has {image.dtype.itemsize * 8} bits per sample, the model wants {geometry.bit_depth}"
        )
    pixels = _with_channels(image, geometry.channels)
    if pixels.shape[:2] == (geometry.height, geometry.width):
        return pixels
    shrinks = pixels.shape[0] >= geometry.height and pixels.shape[1] >= geometry.width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return _three_axes(cv2.resize(pixels, (geometry.width, geometry.height), interpolation=method))


def check_image(image: Image) -> None:
    """Raise ImageError where an array is not a picture: uint8 or uint16, [H, W, 1 or 3], not empty."""
    if not isinstance(image, np.ndarray):
        raise ImageError(f"the picture is a {type(image).__name__}, wanted a numpy array [H, W, C]")
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"the picture is {image.dtype}, wanted uint8 or uint16")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        raise ImageError(f"the picture has shape {image.shape}, wanted (H, W, 1) or (H, W, 3)")


def _with_channels(image: Image, channels: int) -> Image:
    if image.shape[2] == channels:
        return image
    code = cv2.COLOR_GRAY2BGR if channels == 3 else cv2.COLOR_BGR2GRAY
    return _three_axes(cv2.cvtColor(image, code))


def _three_axes(pixels: Any) -> Image:
    """OpenCV drops a single channel's axis; put it back."""
    return cast(Image, pixels[:, :, None] if pixels.ndim == 2 else pixels)


def _first_channels(image: Image, count: int) -> Image:
    """Leave the alpha channel behind."""
    return cast(Image, np.ascontiguousarray(image[:, :, :count]))


def _read_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            raise ImageError(f"{path}: {size} bytes, wanted at most {_MAX_FILE_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not data:
        raise ImageError(f"{path}: empty file")
    return data


def _decode(path: Path, data: bytes) -> Image:
    flags = cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"{path}: cannot be decoded ({' '.join(str(error.err).split())})") from None
    if pixels is None:
        raise ImageError(f"{path}: truncated, damaged, or of a kind that OpenCV cannot decode")
    image = _three_axes(pixels)
    if image.shape[2] == 4:
        image = _first_channels(image, 3)
    elif image.shape[2] == 2:
        image = _first_channels(image, 1)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path}: samples are {image.dtype}, wanted 8 or 16 bits unsigned")
    return image


def _format_check(data: bytes) -> Callable[[bytes], bool] | None:
    """Return what tells a whole file of this format from a truncated one; None for an unknown format.

    Decoders fill in what is missing and say nothing, so half a picture would be inspected as if it were one.
    """
    for magic, check in (
        (b"\x89PNG\r\n\x1a\n", _png_is_whole),
        (b"\xff\xd8\xff", _jpeg_is_whole),
        (b"BM", _bmp_is_whole),
        (b"II*\0", _tiff_is_whole),
        (b"MM\0*", _tiff_is_whole),
    ):
        if data.startswith(magic):
            return check
    return None


def _png_is_whole(data: bytes) -> bool:
    """Every chunk's CRC is right, up to IEND (PNG specification, section 5)."""
    position = 8
    while position + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        end = position + 8 + size
        if end + 4 > len(data) or struct.unpack_from(">I", data, end)[0] != zlib.crc32(data[position + 4 : end]):
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end + 4
    return False


def _jpeg_is_whole(data: bytes) -> bool:
    """An end-of-image marker follows the first scan; a thumbnail's, before it, does not count (ITU-T T.81, annex B)."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, size = data[position + 1], struct.unpack_from(">H", data, position + 2)[0]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xDA:
            return data.find(b"\xff\xd9", position + size) >= 0
        position += 2 + size
    return False


def _bmp_is_whole(data: bytes) -> bool:
    """The rows that the header promises are there (uncompressed only; a compressed one is the decoder's to judge)."""
    if len(data) < 34:
        return False
    start, header, width, height = struct.unpack_from("<IIii", data, 10)
    if header < 40:
        return len(data) > int(start)
    bits, compression = struct.unpack_from("<HI", data, 28)
    row_bytes = (abs(width) * bits + 31) // 32 * 4
    return bool(compression not in (0, 3) or len(data) >= start + row_bytes * abs(height))


def _tiff_is_whole(data: bytes) -> bool:
    """The first directory and every strip or tile it lists lie inside the file (TIFF 6.0, section 2)."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (directory,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, directory)
        entries = {}
        for index in range(count):
            tag, kind, values, _ = struct.unpack_from(order + "HHII", data, directory + 2 + 12 * index)
            if tag in (273, 279, 324, 325):  # StripOffsets, StripByteCounts, TileOffsets, TileByteCounts
                entries[tag] = _tiff_values(data, order, directory + 2 + 12 * index + 8, kind, values)
    except struct.error:
        return False
    offsets = entries.get(273, entries.get(324, ()))
    sizes = entries.get(279, entries.get(325, ()))
    return bool(offsets) and all(start + size <= len(data) for start, size in zip(offsets, sizes, strict=False))


def _tiff_values(data: bytes, order: str, field: int, kind: int, count: int) -> tuple[int, ...]:
    code, size = {3: ("H", 2), 4: ("I", 4)}.get(kind, ("I", 4))
    if count * size > len(data) + 4:
        raise struct.error("more values than bytes")
    where = field if count * size <= 4 else struct.unpack_from(order + "I", data, field)[0]
    return struct.unpack_from(f"{order}{count}{code}", data, where)
