"""Read an image file: the pixels that the file means, or a rejection in one line."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from engines.errors import FileAccessError, ImageError
from engines.images.completeness import completeness_check
from engines.images.head import read_head
from engines.images.image_head import ImageHead
from engines.images.limits import check_size
from engines.images.preprocessing import Image, three_axes
from engines.images.tiff import is_tiff, parse_tiff

# OpenCV rejects images above 2^30 pixels. A larger file is no single frame of a camera.
_MAX_FILE_BYTES = 2**30


def read_image(path: Path | str) -> Image:
    """Read one image, [H, W, 1] gray or [H, W, 3] BGR, uint8 or uint16 as in the file.

    Reads PNG, JPEG, TIFF (BigTIFF too), BMP, WebP, GIF and JPEG 2000, and DICOM if pydicom is installed. The content
    decides, not the name. What the file says is what the model sees, in training and at the line, by one rule for all
    formats:

    - Orientation: the Exif or TIFF tag is applied, so an image is seen as viewers show it.
    - Gray values: higher is brighter; where the file says that 0 is white, they are inverted. Samples of 10, 12 or 14
      bits keep their stored values.

    An alpha channel must be opaque, since a transparent pixel has no value to score; it is dropped. One file is one
    image of at most `MAX_PIXELS` (`engines.images.limits`), which is checked before anything is decoded.

    Raises ImageError, one line, if the file is unreadable, truncated, not an image, or of a kind that would be read
    wrongly (`engines.images.tiff` and `jpeg2000` have the tables).
    """
    file = Path(path)
    data = _read_bytes(file)
    if data[128:132] == b"DICM" or file.suffix.lower() == ".dcm":
        from engines.images.dicom import read_dicom

        return read_dicom(file, data)
    is_complete = completeness_check(data)
    if is_complete is None:
        raise ImageError(f"{file}: not a PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000 or DICOM image")
    try:
        complete = is_complete(data)
    except (struct.error, IndexError, ValueError):
        complete = False
    if not complete:
        raise ImageError(f"{file}: truncated or damaged")
    head = _check_head(file, data)
    image = _read_tiff(file, data) if is_tiff(data) else _decode(file, data)
    return turn_upright(image, head.orientation)


def read_shape(path: Path | str) -> tuple[int, int]:
    """Height and width of an image as `read_image` returns it, from the head of its file where that is enough.

    Raises ImageError if it cannot be read.
    """
    file = Path(path)
    data = _read_bytes(file)
    if data[128:132] == b"DICM" or completeness_check(data) is None:
        height, width = read_image(file).shape[:2]
        return height, width
    head = _check_head(file, data)
    return (head.width, head.height) if head.orientation >= 5 else (head.height, head.width)


def turn_upright(image: Image, orientation: int) -> Image:
    """Apply an orientation, 1 to 8 (Exif 2.3, section 4.6.4), to an image [H, W, C]; 5 to 8 swap H and W.

    >>> turn_upright(np.arange(6, dtype=np.uint8).reshape(2, 3, 1), 6)[:, :, 0].tolist()
    [[3, 0], [4, 1], [5, 2]]
    """
    if orientation == 1:
        return image
    turned = image.swapaxes(0, 1) if orientation >= 5 else image
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return cast(Image, np.ascontiguousarray(turned[rows, columns]))


def _check_head(path: Path, data: bytes) -> ImageHead:
    try:
        head = read_head(data)
    except (struct.error, IndexError, ValueError):
        raise ImageError(f"{path}: truncated or damaged") from None
    check_size(path, head.width, head.height)
    if head.several and not is_tiff(data):
        raise ImageError(f"{path}: an animation of several images, wanted one image per file")
    if head.rejection is not None:
        raise ImageError(f"{path}: {head.rejection}")
    return head


def _read_tiff(path: Path, data: bytes) -> Image:
    """Decode a TIFF with its tags reset, and apply them here: OpenCV heeds them for some bit depths only."""
    tiff = parse_tiff(data)
    reason = tiff.rejection()
    if reason is not None:
        raise ImageError(f"{path}: {reason}")
    image = _decode(path, tiff.plain(data))
    if tiff.zero_is_white:
        image = np.iinfo(image.dtype).max - image
    if 8 < tiff.bits < 16:  # OpenCV moves packed samples to the upper bits
        image = cast(Image, image >> (16 - tiff.bits))
    return image


def _read_bytes(path: Path) -> bytes:
    """The content of a file. The checks are made on the open file: a pipe that took its place would never end."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileAccessError(f"{path}: cannot be read (a folder, pipe or device, wanted an image file)")
            if status.st_size > _MAX_FILE_BYTES:
                raise ImageError(f"{path}: {status.st_size} bytes, wanted at most {_MAX_FILE_BYTES}")
            data = file.read(status.st_size)
    except OSError as error:
        raise FileAccessError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not data:
        raise ImageError(f"{path}: empty file")
    return data


def _decode(path: Path, data: bytes) -> Image:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"{path}: cannot be decoded ({' '.join(str(error.err).split())})") from None
    if pixels is None:
        raise ImageError(f"{path}: truncated, damaged, or of a format that OpenCV cannot decode")
    image = three_axes(pixels)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path}: samples are {image.dtype}, wanted 8 or 16 bits unsigned")
    if image.shape[2] == 4:
        if image[:, :, 3].min() < np.iinfo(image.dtype).max:
            raise ImageError(f"{path}: some pixels are transparent, wanted an opaque image")
        image = cast(Image, np.ascontiguousarray(image[:, :, :3]))
    return image
