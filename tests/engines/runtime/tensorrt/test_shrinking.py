"""Shrinking by area is one rule: OpenCV's, ours in NumPy, and the GPU's kernel, compiled for the CPU here."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.bundles.bundle import Geometry
from engines.images.preprocessing import fit
from engines.images.shrinking import shrink, spans
from engines.runtime.tensorrt.cuda import BLOCK

KERNELS = Path(__file__).parents[4] / "engines" / "runtime" / "tensorrt" / "kernels"

# From whole multiples to hardly any change, even and odd, one axis alone.
SIZES = [(1080, 1920, 64, 64), (480, 640, 256, 256), (257, 511, 256, 256), (70, 70, 7, 64), (64, 64, 64, 64)]


def picture(height: int, width: int, channels: int, dtype: type) -> np.ndarray:
    """Noise over the whole range, which an average tells most of."""
    return np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def geometry_of(height: int, width: int, channels: int, dtype: type) -> Geometry:
    colour = "GRAY" if channels == 1 else "BGR"
    return Geometry(height, width, channels, 8 if dtype is np.uint8 else 16, colour)  # type: ignore[arg-type]


def largest_difference(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_shrink_agrees_with_the_cpu_path_within_a_grey_level(
    size: tuple[int, int, int, int], channels: int, dtype: type
) -> None:
    image = picture(*size[:2], channels, dtype)
    assert largest_difference(shrink(image, *size[2:]), fit(image, geometry_of(*size[2:], channels, dtype))) <= 1


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000).flatmap(lambda source: st.tuples(st.just(source), st.integers(1, min(source, 600)))))
def test_spans_cover_the_picture_once(sizes: tuple[int, int]) -> None:
    source, target = sizes
    table = spans(source, target)
    assert table.first[0] == 0
    assert table.first[-1] + table.count[-1] == source
    assert (table.first + table.count <= source).all()
    np.testing.assert_allclose(table.weight.sum(axis=1), 1.0, rtol=1e-5)
    total = np.zeros(source)
    for row, (first, count) in enumerate(zip(table.first, table.count, strict=True)):
        total[first : first + count] += table.weight[row, :count]
    np.testing.assert_allclose(total, target / source, rtol=1e-3)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernels' source as a library for this CPU."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler is installed: apt install g++")
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    harness = Path(__file__).parents[3] / "support" / "kernel_harness.cpp"
    source = f'-DKERNELS_SOURCE="{KERNELS / "frames.cu"}"'
    command = [compiler, "-std=c++14", "-O1", "-shared", "-fPIC", source, str(harness), "-o", str(library)]
    subprocess.run(command, check=True, capture_output=True)
    return ctypes.CDLL(str(library))


def address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES[1:], ids=str)
def test_kernel_agrees_with_the_cpu_path_within_a_grey_level(
    kernels: ctypes.CDLL, size: tuple[int, int, int, int], channels: int, dtype: type
) -> None:
    source_height, source_width, height, width = size
    image = picture(source_height, source_width, channels, dtype)
    shrunk = np.zeros((height, width, channels), dtype)
    rows, columns = spans(source_height, height), spans(source_width, width)
    run = getattr(kernels, f"run_shrink_{8 * image.itemsize}")
    blocks = (width * channels + BLOCK - 1) // BLOCK
    run(
        *(blocks, height, BLOCK),
        *(address(image), source_width, channels, address(shrunk), width, height),
        *(address(rows.first), address(rows.count), address(rows.weight), rows.weight.shape[1]),
        *(address(columns.first), address(columns.count), address(columns.weight), columns.weight.shape[1]),
    )
    assert largest_difference(shrunk, fit(image, geometry_of(height, width, channels, dtype))) <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_kernel_widens_every_count_exactly(kernels: ctypes.CDLL, dtype: type) -> None:
    counts = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    wide = np.full(len(counts) + 1, -1.0, np.float32)
    run = getattr(kernels, f"run_widen_{8 * counts.itemsize}")
    run((len(counts) + BLOCK - 1) // BLOCK, 1, BLOCK, address(counts), address(wide), len(counts))
    np.testing.assert_array_equal(wide[:-1], counts.astype(np.float32))
    assert wide[-1] == -1.0


def test_compiled_kernels_are_those_of_the_source() -> None:
    """Whoever changes frames.cu runs `make kernels`."""
    said = (KERNELS / "frames.ptx").read_text(encoding="ascii").splitlines()[0]
    wanted = hashlib.sha256((KERNELS / "frames.cu").read_bytes()).hexdigest()
    assert said == f"// frames.cu, sha256 {wanted}"


def test_compiled_kernels_suit_the_oldest_driver_and_gpu() -> None:
    """PTX 8.2 is what JetPack 6's driver takes at least; no GPU older than Turing runs TensorRT 10.3 and 11."""
    lines = (KERNELS / "frames.ptx").read_text(encoding="ascii").splitlines()
    assert ".version 8.2" in lines
    assert ".target sm_75" in lines
    for name in ("shrink_8", "shrink_16", "widen_8", "widen_16"):
        assert any(line.startswith(f".visible .entry {name}(") for line in lines)


@pytest.mark.parametrize("target", ["sm_75", "sm_80", "sm_87", "sm_90", "sm_120"])
def test_compiled_kernels_assemble_for_every_gpu(target: str, tmp_path: Path) -> None:
    """From Turing over Orin to Blackwell: by NVIDIA's assembler, which the driver has inside."""
    assembler = shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
    if assembler is None:
        pytest.skip("no CUDA toolkit is installed, whose ptxas this takes")
    command = [assembler, "--gpu-name", target, str(KERNELS / "frames.ptx"), "-o", str(tmp_path / "frames.cubin")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "is not defined for option" in done.stderr:
        pytest.skip(f"this toolkit does not know {target}")
    assert done.returncode == 0, done.stderr
