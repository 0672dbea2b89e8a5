"""NumPy archives are read as NumPy reads them, and rejected by their heads before anything large is unpacked."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Mapping

import numpy as np
import pytest

from engines.bundles.archive import ArchiveError, ArrayHead, read_archive

ARRAYS = {
    "frames": np.random.default_rng(0).integers(0, 65536, (3, 8, 9, 1)).astype(np.uint16),
    "score": np.float32([1, 2, 3]),
    "steps": np.array(7),
    "nothing": np.zeros((0, 4), np.float32),
    "transposed": np.arange(12.0).reshape(3, 4).T,
}


def archive_of(heads: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """An archive of zeros, compressed, made without holding the zeros in memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, (descr, shape) in heads.items():
            left = int(np.prod(shape, dtype=np.int64)) * np.dtype(descr).itemsize
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, {"descr": descr, "fortran_order": False, "shape": shape})
                while left > 0:
                    member.write(bytes(min(left, 2**24)))
                    left -= 2**24
    return buffer.getvalue()


def saved(*, compressed: bool = True) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **ARRAYS)
    return buffer.getvalue()


def accept(heads: Mapping[str, ArrayHead]) -> None:
    pass


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_those_that_numpy_saved(compressed: bool) -> None:
    arrays = read_archive(saved(compressed=compressed), accept)
    assert list(arrays) == list(ARRAYS)
    for name, wanted in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], wanted)
        assert arrays[name].dtype == wanted.dtype
        assert arrays[name].flags.writeable


def test_large_archive_is_rejected_in_little_memory() -> None:
    data = archive_of({"frames": ("|u1", (300 * 2**20,))})
    assert len(data) < 2 * 2**20
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="314572800 bytes when unpacked, wanted at most 268435456"):
        read_archive(data, accept)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("shape", [(10**12,), (2**40, 2**40)])
def test_head_that_announces_more_than_is_there_is_rejected(shape: tuple[int, ...]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("frames.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with pytest.raises(ArchiveError, match="bytes when unpacked"):
        read_archive(buffer.getvalue(), accept)


@pytest.mark.parametrize("more", [-1, 1])
def test_member_of_another_size_than_its_head_says_is_rejected(more: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("score.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (4,)})
        member.write(bytes(16 + more))
    with pytest.raises(ArchiveError, match="another size than its head"):
        read_archive(buffer.getvalue(), accept)


def test_objects_are_rejected_without_unpickling() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, frames=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ArchiveError, match="wanted plain numbers"):
        read_archive(buffer.getvalue(), accept)


def test_other_compression_and_other_members_are_rejected() -> None:
    for name, method in (("score.npy", zipfile.ZIP_LZMA), ("score.npy", zipfile.ZIP_BZIP2), ("run.sh", 0)):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.writestr(name, b"x")
        with pytest.raises(ArchiveError, match="is not a NumPy array"):
            read_archive(buffer.getvalue(), accept)


def test_archive_of_many_members_is_rejected_before_they_are_listed() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(10_000):
            archive.writestr(f"{index}.npy", b"")
    with pytest.raises(ArchiveError, match="more members than a NumPy archive has"):
        read_archive(buffer.getvalue(), accept)


def test_zip64_directory_is_rejected() -> None:
    data = saved()
    end = data.rindex(b"PK\5\6")
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1)
    with pytest.raises(ArchiveError, match="more members"):
        read_archive(data[:end] + locator + data[end:], accept)


def test_mutated_archive_is_read_or_rejected() -> None:
    """2,000 archives with up to eight random bytes changed, or cut off: no other error than ArchiveError."""
    random = np.random.default_rng(1)
    whole = np.frombuffer(saved(), np.uint8)
    reasons: list[str] = []
    for _ in range(2000):
        data = whole[: len(whole) if random.random() < 0.8 else random.integers(len(whole))].copy()
        where = random.integers(0, max(len(data), 1), random.integers(1, 9))
        if len(data) > 0:
            data[where] = random.integers(0, 256, len(where))
        try:
            read_archive(data.tobytes(), accept)
        except ArchiveError as error:
            reasons.append(str(error))
    assert len(reasons) > 1000
    assert not any("\n" in reason for reason in reasons)
