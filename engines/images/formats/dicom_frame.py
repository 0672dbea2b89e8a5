"""Checks of one image of a DICOM file before it is decoded: that its data are there, and are of the size it has."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

from engines.errors import ImageError
from engines.images.formats.head import jpeg_size

# Tag, representation and length of the pixels, in the explicit form that compressed images have (PS3.5, 7.1.2).
_ELEMENT_BYTES = 12

# The head of each compressed image (PS3.5, A.4).
_ITEM_BYTES = 8

# RLE (PS3.5, G.3.1) needs at most 129 bytes for 128, and 64 for its head; it unpacks to at most 64 times its size.
_RLE_GROWTH, _RLE_HEAD = 129 / 128, 64 + 15

_START_OF_CODESTREAM = b"\xff\x4f\xff\x51"


def check_data(path: Path, file: BinaryIO, dataset: Any, frames: int) -> None:
    """Raise ImageError where the data of so many images cannot be in the file.

    file: at the pixels, of which `dataset` is the head.
    """
    packed = dataset.file_meta.TransferSyntaxUID.is_compressed
    wanted = frames * (_ITEM_BYTES if packed else _frame_bytes(dataset))
    left = os.fstat(file.fileno()).st_size - file.tell()
    if left < wanted:
        plural = "s" if frames > 1 else ""
        need = f"wanted {wanted} or more for {frames} frame{plural}"
        raise ImageError(f"{path}: {left} bytes of DICOM pixels, {need}; truncated or damaged")


def check_frame(path: Path, file: BinaryIO, dataset: Any, index: int, frames: int) -> None:
    """Raise ImageError where an image cannot be decoded, or would become larger than its head says.

    file: at the pixels, of which `dataset` is the head. A decoder reserves what the compressed data ask for: some
    hundred bytes of JPEG 2000 can ask for gigabytes.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return
    _check_decoder(path, dataset)
    from pydicom.encaps import get_frame

    start = file.tell()
    file.seek(start + _ELEMENT_BYTES)
    offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    extended: Any = None if None in offsets else offsets
    data = get_frame(file, index, number_of_frames=frames, extended_offsets=extended)
    file.seek(start)
    width, height = int(dataset.Columns), int(dataset.Rows)
    if syntax.name == "RLE Lossless":
        most = _frame_bytes(dataset) * _RLE_GROWTH + _RLE_HEAD * int(dataset.SamplesPerPixel) * 4
        if len(data) > most:
            raise ImageError(f"{path}: {len(data)} bytes of RLE for {width}×{height} pixels, wanted at most {most:.0f}")
        return
    size = _codestream_size(data)
    if size != (width, height):
        got = "no size" if size is None else f"{size[0]}×{size[1]} pixels"
        raise ImageError(f"{path}: {got} in the compressed data, wanted {width}×{height} as in the head of the file")


def _frame_bytes(dataset: Any) -> int:
    samples = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    return (samples * int(dataset.BitsAllocated) + 7) // 8


def _check_decoder(path: Path, dataset: Any) -> None:
    """Name the package that an image needs."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEGExtended12Bit

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(f"{path}: DICOM compressed as {syntax.name}, which cannot be read") from None
    if syntax == JPEGExtended12Bit and int(dataset.BitsStored) > 8:
        if "pylibjpeg" not in decoder.available_plugins:
            raise ImageError(
                f"{path}: DICOM compressed as JPEG Extended with 12 bits, which needs pylibjpeg-libjpeg (licence GPL, "
                "not part of inspectd): pip install pylibjpeg-libjpeg"
            )
    elif not decoder.is_available:
        raise ImageError(f"{path}: DICOM compressed as {syntax.name}: pip install 'inspectd[dicom]'")


def _codestream_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in the head of a JPEG, JPEG-LS or JPEG 2000 codestream; None if there is none."""
    try:
        if data.startswith(_START_OF_CODESTREAM):
            right, bottom, left, top = struct.unpack_from(">4I", data, 8)
            return right - left, bottom - top
        return jpeg_size(data)
    except (struct.error, IndexError):
        return None
