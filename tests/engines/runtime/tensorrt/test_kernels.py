"""The GPU's kernels: their source, compiled for the CPU, and their PTX for every GPU."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from engines.images.preprocessing import fit
from engines.images.shrinking import spans
from engines.runtime.tensorrt.cuda import BLOCK
from tests.engines.images.test_shrinking import SIZES, geometry_of, largest_difference, noise_image

KERNELS = Path(__file__).parents[4] / "engines" / "runtime" / "tensorrt" / "kernels"


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernels' source, compiled for this CPU."""
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
def test_kernel_agrees_with_opencv_within_one_grey_level(
    kernels: ctypes.CDLL, size: tuple[int, int, int, int], channels: int, dtype: type
) -> None:
    source_height, source_width, height, width = size
    image = noise_image(source_height, source_width, channels, dtype)
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
    """After a change of frames.cu, run `make kernels`."""
    recorded = (KERNELS / "frames.ptx").read_text(encoding="ascii").splitlines()[0]
    wanted = hashlib.sha256((KERNELS / "frames.cu").read_bytes()).hexdigest()
    assert recorded == f"// frames.cu, sha256 {wanted}"


def test_compiled_kernels_suit_the_oldest_driver_and_gpu() -> None:
    """JetPack 6's driver needs PTX 8.2 or older; no GPU older than Turing runs TensorRT 10.3 and 11."""
    lines = (KERNELS / "frames.ptx").read_text(encoding="ascii").splitlines()
    assert ".version 8.2" in lines
    assert ".target sm_75" in lines
    for name in ("shrink_8", "shrink_16", "widen_8", "widen_16"):
        assert any(line.startswith(f".visible .entry {name}(") for line in lines)


@pytest.mark.parametrize("target", ["sm_75", "sm_80", "sm_87", "sm_90", "sm_120"])
def test_compiled_kernels_assemble_for_every_gpu(target: str, tmp_path: Path) -> None:
    """From Turing over Orin to Blackwell, with NVIDIA's assembler, which is part of the driver."""
    assembler = shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
    if assembler is None:
        pytest.skip("no CUDA toolkit with ptxas is installed")
    command = [assembler, "--gpu-name", target, str(KERNELS / "frames.ptx"), "-o", str(tmp_path / "frames.cubin")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "is not defined for option" in done.stderr:
        pytest.skip(f"this toolkit does not know {target}")
    assert done.returncode == 0, done.stderr
