"""Read a NumPy archive (`.npz`) from memory; its heads are compared with limits before anything is unpacked.

A few megabytes can unpack to terabytes, and `np.load` takes the memory that a head asks for. Here every member's head
(numpy.lib.format, NEP 1) is read first, then exactly the bytes that it announces.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import BundleError

# Unpacked bytes of all arrays. The 8 reference frames of 1024×1024 pixels, 3 samples of 16 bits, are 50 MB.
MAX_ARCHIVE_BYTES = 2**28

# An archive has a handful of members of about 60 bytes each; the weights of a network a few hundred. `zipfile` keeps an
# object for each, so the list must not be long.
_MAX_DIRECTORY_BYTES = 2**18

_END, _END_BYTES, _END64 = b"PK\5\6", 22, b"PK\6\7"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ArchiveError(ValueError):
    """The bytes are not a NumPy archive, or its arrays are too large."""


@dataclass(frozen=True, slots=True)
class ArrayHead:
    """Shape and type of an array that is still packed."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_archive(
    data: bytes, check: Callable[[Mapping[str, ArrayHead]], None], *, max_bytes: int = MAX_ARCHIVE_BYTES
) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npz` by name.

    `check` gets all heads before anything is unpacked, and rejects them with a BundleError. Raises ArchiveError for
    damaged bytes, objects, or more than `max_bytes` unpacked.
    """
    _check_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            heads = {info.filename.removesuffix(".npy"): _head(archive, info) for info in archive.infolist()}
            _check_total(heads, max_bytes)
            check(heads)
            return {name: _array(archive, f"{name}.npy", head) for name, head in heads.items()}
    except BundleError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds of errors for damaged files
        raise ArchiveError(" ".join(str(error).split()) or type(error).__name__) from None


def _check_directory(data: bytes) -> None:
    """Reject a list of members that is long, before `zipfile` reads it."""
    end = data.rfind(_END, max(0, len(data) - _END_BYTES - 2**16))
    if end < 0 or end + _END_BYTES > len(data):
        raise ArchiveError("not a zip file, or truncated")
    (size,) = struct.unpack_from("<I", data, end + 12)
    if size > _MAX_DIRECTORY_BYTES or data[max(0, end - 20) : end].startswith(_END64):
        raise ArchiveError("more members than a NumPy archive has")


def _check_total(heads: Mapping[str, ArrayHead], max_bytes: int) -> None:
    total = sum(head.size for head in heads.values())
    if total > max_bytes:
        raise ArchiveError(f"{total} bytes when unpacked, wanted at most {max_bytes}")


def _head(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArrayHead:
    if info.compress_type not in _METHODS or not info.filename.endswith(".npy"):
        raise ArchiveError(f"member {info.filename[:40]!r} is not a NumPy array")
    with archive.open(info) as member:
        shape, _, dtype = _read_head(member)
    if dtype.hasobject or any(side < 0 for side in shape):
        raise ArchiveError(f"member {info.filename[:40]!r} has {dtype}, wanted plain numbers")
    return ArrayHead(shape, dtype)


def _read_head(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(member)
    raise ArchiveError(f"array format {version}, wanted 1.0 or 2.0")


def _array(archive: zipfile.ZipFile, name: str, head: ArrayHead) -> NDArray[Any]:
    with archive.open(name) as member:
        _, fortran_order, _ = _read_head(member)
        values = bytearray(member.read(head.size))
        if len(values) != head.size or member.read(1):  # the second read also verifies the CRC
            raise ArchiveError(f"{name} has another size than its head")
    array: NDArray[Any] = np.ndarray(head.shape, head.dtype, values, order="F" if fortran_order else "C")
    return array
