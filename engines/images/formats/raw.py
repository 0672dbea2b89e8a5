"""Raw files of X-ray detectors: pixels, and nothing that describes them."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from engines.bundles import FileReading, RawFormat
from engines.errors import ImageError
from engines.images.formats.numbering import check_number
from engines.images.formats.values import to_16_bits
from engines.images.limits import check_size

RAW_SUFFIX = ".raw"


def read_raw(
    path: Path, file: BinaryIO, size: int, number: int | None, reading: FileReading
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Image `number`, from 1, of a raw file of `size` bytes: [H, W, 1], uint8 or uint16.

    Raises ImageError where the size is not that of the format, or a value has more bits: the geometry is wrong, or the
    file is truncated.
    """
    raw = reading.raw
    if raw is None:
        raise ImageError(
            f"{path}: a raw file does not describe itself; wanted raw = {{ width = …, height = … }} in the settings of "
            "the source, --raw in training"
        )
    check_size(path, raw.width, raw.height)
    if size != raw.file_bytes:
        raise ImageError(f"{path}: {size} bytes, wanted {raw.file_bytes} for {raw}; truncated, or of another geometry")
    check_number(path, number, raw.frames, "frames in one raw file")
    frame_bytes = raw.width * raw.height * raw.sample_bytes
    file.seek(raw.header_bytes + ((number or 1) - 1) * frame_bytes)
    values = np.frombuffer(file.read(frame_bytes), _type_of(raw)).reshape(raw.height, raw.width, 1)
    if raw.bits == 32:
        return to_16_bits(path, values, reading.value_range)
    highest = int(values.max())
    if highest >= 2**raw.bits:
        raise ImageError(f"{path}: a value of {highest}, wanted at most {2**raw.bits - 1}: other bits or byte order?")
    return values.astype(np.uint8 if raw.sample_bytes == 1 else np.uint16)


def _type_of(raw: RawFormat) -> np.dtype[np.generic]:
    return np.dtype(("<" if raw.byte_order == "little" else ">") + {1: "u1", 2: "u2", 4: "f4"}[raw.sample_bytes])
