"""Read an image file: the pixels that the file means, or a rejection in one line."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO, cast

import cv2
import numpy as np

from engines.bundles import FileReading
from engines.errors import FileAccessError, ImageError
from engines.images.formats.completeness import completeness_check
from engines.images.formats.head import read_head
from engines.images.formats.image_head import ImageHead
from engines.images.formats.numbering import check_number, locate
from engines.images.formats.raw import RAW_SUFFIX, read_raw
from engines.images.formats.tiff import is_tiff, parse_tiff
from engines.images.formats.values import to_16_bits
from engines.images.limits import check_size
from engines.images.preprocessing import Image, three_axes

# The magic number of DICOM follows 128 bytes.
_HEAD_BYTES = 132

# OpenCV rejects images above 2^30 pixels. A larger file is no single frame of a camera.
_MAX_FILE_BYTES = 2**30


def read_image(path: Path | str, reading: FileReading | None = None) -> Image:
    """Read one image, [H, W, 1] gray or [H, W, 3] BGR, uint8 or uint16 as in the file.

    Reads PNG, JPEG, TIFF (BigTIFF too), BMP, WebP, GIF and JPEG 2000, DICOM if pydicom is installed, and raw files
    whose format `reading` gives. The content decides, not the name (of raw files, the name). What the file says is
    what the model sees, in training and at the line, by one rule for all formats:

    - Orientation: the Exif or TIFF tag is applied, so an image is seen as viewers show it.
    - Gray values: higher is brighter; where the file says that 0 is white, they are inverted. Samples of 10, 12 or 14
      bits keep their stored values. Float and rescaled values become 16 bits by the range in `reading`.

    An alpha channel must be opaque, since a transparent pixel has no value to score; it is dropped. One image has at
    most `MAX_PIXELS` (`engines.images.limits`), which is checked before anything is decoded. Of a file with several
    frames or pages, the path names one (`engines.images.formats.numbering`); animations are rejected.

    Raises ImageError, one line, if the file is unreadable, truncated, not an image, or of a kind that would be read
    wrongly (`engines.images.formats.tiff` and `jpeg2000` have the tables).
    """
    path, reading = Path(path), reading or FileReading()
    file, number = locate(path)
    with open_image(file) as opened:
        return _read(path, opened, number, reading)


def read_shape(path: Path | str, reading: FileReading | None = None) -> tuple[int, int]:
    """Height and width of an image as `read_image` returns it, from the head of its file where that is enough.

    Raises ImageError if it cannot be read.
    """
    path, reading = Path(path), reading or FileReading()
    file, number = locate(path)
    with open_image(file) as opened:
        data = b"" if _is_dicom(file, opened) or _is_raw(file, reading) else opened.read()
        if completeness_check(data) is None:
            height, width = _read(path, opened, number, reading).shape[:2]
            return height, width
    head = _check_head(path, data, number)
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


def _read(path: Path, opened: BinaryIO, number: int | None, reading: FileReading) -> Image:
    """The image of an open file; the path names it in errors."""
    if _is_dicom(path, opened):
        from engines.images.formats.dicom import read_dicom

        return read_dicom(path, opened, number, reading.value_range)
    if _is_raw(path, reading):
        return _read_raw(path, opened, number, reading)
    opened.seek(0)
    data = opened.read()
    is_complete = completeness_check(data)
    if is_complete is None and path.suffix.lower() == RAW_SUFFIX:
        return _read_raw(path, opened, number, reading)
    if is_complete is None:
        raise ImageError(f"{path}: not a PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000 or DICOM image")
    try:
        complete = is_complete(data)
    except (struct.error, IndexError, ValueError):
        complete = False
    if not complete:
        raise ImageError(f"{path}: truncated or damaged")
    head = _check_head(path, data, number)
    image = _read_tiff(path, data, number, reading) if is_tiff(data) else _decode(path, data)
    return turn_upright(image, head.orientation)


def _is_dicom(path: Path, opened: BinaryIO) -> bool:
    opened.seek(0)
    head = opened.read(_HEAD_BYTES)
    opened.seek(0)
    return head[128:] == b"DICM" or path.suffix.lower() == ".dcm"


def _is_raw(path: Path, reading: FileReading) -> bool:
    return reading.raw is not None and path.suffix.lower() == RAW_SUFFIX


def _read_raw(path: Path, opened: BinaryIO, number: int | None, reading: FileReading) -> Image:
    return read_raw(path, opened, os.fstat(opened.fileno()).st_size, number, reading)


def _check_head(path: Path, data: bytes, number: int | None) -> ImageHead:
    if number is not None and not is_tiff(data):
        raise ImageError(f"{path}: frame {number} of a file that holds one image")
    try:
        head = read_head(data, number or 1)
    except (struct.error, IndexError, ValueError):
        raise ImageError(f"{path}: truncated or damaged") from None
    check_size(path, head.width, head.height)
    if head.several and not is_tiff(data):
        raise ImageError(f"{path}: an animation of several images, wanted one image per file")
    if head.rejection is not None:
        raise ImageError(f"{path}: {head.rejection}")
    return head


def _read_tiff(path: Path, data: bytes, number: int | None, reading: FileReading) -> Image:
    """Decode a TIFF with its tags reset, and apply them here: OpenCV heeds them for some bit depths only."""
    tiff = parse_tiff(data, number or 1)
    check_number(path, number, tiff.pages, "pages in one TIFF file")
    if not tiff.is_complete(len(data)):
        raise ImageError(f"{path}: truncated or damaged")
    reason = tiff.rejection()
    if reason is not None:
        raise ImageError(f"{path}: {reason}")
    image = _decode(path, tiff.plain(data), None if not tiff.is_float else reading)
    if tiff.zero_is_white:
        image = np.iinfo(image.dtype).max - image
    if 8 < tiff.bits < 16:  # OpenCV moves packed samples to the upper bits
        image = cast(Image, image >> (16 - tiff.bits))
    return image


def open_image(path: Path) -> BinaryIO:
    """A file, open. Raises ImageError for one that is no file, is empty or too large.

    The checks are made on the open file: a pipe that took its place would never end.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise FileAccessError(f"{path}: cannot be read ({error.strerror or error})") from None
    status = os.fstat(file.fileno())
    reason: ImageError | None = None
    if not stat.S_ISREG(status.st_mode):
        reason = FileAccessError(f"{path}: cannot be read (a folder, pipe or device, wanted an image file)")
    elif status.st_size > _MAX_FILE_BYTES:
        reason = ImageError(f"{path}: {status.st_size} bytes, wanted at most {_MAX_FILE_BYTES}")
    elif status.st_size == 0:
        reason = ImageError(f"{path}: empty file")
    if reason is not None:
        file.close()
        raise reason
    return file


def _decode(path: Path, data: bytes, float_reading: FileReading | None = None) -> Image:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"{path}: cannot be decoded ({' '.join(str(error.err).split())})") from None
    if pixels is None:
        raise ImageError(f"{path}: truncated, damaged, or of a format that OpenCV cannot decode")
    if float_reading is not None:
        pixels = to_16_bits(path, pixels, float_reading.value_range)
    image = three_axes(pixels)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path}: samples are {image.dtype}, wanted 8 or 16 bits unsigned")
    if image.shape[2] == 4:
        if image[:, :, 3].min() < np.iinfo(image.dtype).max:
            raise ImageError(f"{path}: some pixels are transparent, wanted an opaque image")
        image = cast(Image, np.ascontiguousarray(image[:, :, :3]))
    return image
