"""From a file or a camera's array to the model's input frame.

Sixteen bits stay sixteen bits: nothing here scales grey values, which is the first step of the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import Geometry
from engines.errors import ImageError
from engines.images.completeness import completeness_check

Image = NDArray[np.uint8] | NDArray[np.uint16]
"""Pixels, [H, W, C]: C is 1 (gray) or 3 (BGR)."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm"})
"""File name suffixes of images, lower case; upper case counts as well."""

# OpenCV rejects images above 2^30 pixels. A larger file is no single frame of a camera.
_MAX_FILE_BYTES = 2**30


def list_images(folder: Path | str) -> list[Path]:
    """The image files in a folder, sorted by name, without hidden files; ImageError if it cannot be listed."""
    path = Path(folder)
    if not path.is_dir():
        raise ImageError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}, wanted a folder of images")
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise ImageError(f"{path}: cannot be listed ({error.strerror or error})") from None
    return [entry for entry in entries if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")]


def read_image(path: Path | str) -> Image:
    """Read one image, [H, W, 1] gray or [H, W, 3] BGR, uint8 or uint16 as in the file.

    Reads PNG, JPEG, TIFF and BMP, and DICOM if pydicom is installed. An alpha channel is dropped. The EXIF orientation
    of a phone's image is ignored, because a camera at a line has a fixed one. Raises ImageError if the file is
    unreadable, truncated or not an image.
    """
    file = Path(path)
    data = _read_bytes(file)
    if data[128:132] == b"DICM" or file.suffix.lower() == ".dcm":
        from engines.images.dicom import read_dicom

        return read_dicom(file, data)
    is_complete = completeness_check(data)
    if is_complete is None:
        raise ImageError(f"{file}: not a PNG, JPEG, TIFF, BMP or DICOM image")
    if not is_complete(data):
        raise ImageError(f"{file}: truncated or damaged")
    return _decode(file, data)


def fit(image: Image, geometry: Geometry) -> Image:
    """Fit an image [H, W, C] to a model's input [h, w, c], same dtype; the result may share memory with the image.

    Shrinks by area, or enlarges linearly if one axis is too small; the aspect ratio may change. Converts gray to BGR or
    BGR to gray if the model needs it. Raises ImageError for another bit depth, since 8 bits stretched to 16 would
    differ from the training images.
    """
    check_image(image)
    if image.dtype != geometry.dtype:
        raise ImageError(
            f"the image has {image.dtype.itemsize * 8} bits per sample, the model wants {geometry.bit_depth}"
        )
    pixels = _with_channels(image, geometry.channels)
    if pixels.shape[:2] == (geometry.height, geometry.width):
        return pixels
    shrinks = pixels.shape[0] >= geometry.height and pixels.shape[1] >= geometry.width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return _three_axes(cv2.resize(pixels, (geometry.width, geometry.height), interpolation=method))


def check_image(image: Image) -> None:
    """Raise ImageError unless an array is an image: uint8 or uint16, [H, W, 1 or 3], not empty."""
    if not isinstance(image, np.ndarray):
        raise ImageError(f"the image is a {type(image).__name__}, wanted a numpy array [H, W, C]")
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"the image is {image.dtype}, wanted uint8 or uint16")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        raise ImageError(f"the image has shape {image.shape}, wanted (H, W, 1) or (H, W, 3)")


def _with_channels(image: Image, channels: int) -> Image:
    if image.shape[2] == channels:
        return image
    code = cv2.COLOR_GRAY2BGR if channels == 3 else cv2.COLOR_BGR2GRAY
    return _three_axes(cv2.cvtColor(image, code))


def _three_axes(pixels: Any) -> Image:
    """Restore the channel axis, which OpenCV drops for a single channel."""
    return cast(Image, pixels[:, :, None] if pixels.ndim == 2 else pixels)


def _first_channels(image: Image, count: int) -> Image:
    """Drop the alpha channel."""
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
        raise ImageError(f"{path}: truncated, damaged, or of a format that OpenCV cannot decode")
    image = _three_axes(pixels)
    if image.shape[2] == 4:
        image = _first_channels(image, 3)
    elif image.shape[2] == 2:
        image = _first_channels(image, 1)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path}: samples are {image.dtype}, wanted 8 or 16 bits unsigned")
    return image
