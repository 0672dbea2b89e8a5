"""PyCUDA, our kernels, buffers, graphs and the runner of plans, without TensorRT.

On a GPU (`make test-gpu`), or on a strict driver that runs on the CPU (`make test-cuda-on-cpu`).
"""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.bundles.bundle import Bundle, Geometry
from engines.errors import EngineError
from engines.images.preprocessing import fit
from engines.runtime.engine import EngineOptions
from engines.runtime.tensorrt.cuda import Buffer, CudaDevice, open_gpu
from engines.runtime.tensorrt.cuda_graph import CudaGraph
from engines.runtime.tensorrt.engine import TensorRtEngine
from engines.runtime.tensorrt.gpu_resize import MOST_SIZES, GpuResizer, ImageFitter
from engines.runtime.tensorrt.runner import PlanRunner
from engines.runtime.tensorrt.runtime import TensorRtMessages
from tests.support.fake_plan import FAKE_TENSORRT, FakePlan

RTX = Path(__file__).parents[2] / "build" / "tensorrt" / "rtx"

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]

# The driver's own memory varies by a page or two.
LEAK_BYTES = 4 * 1024**2


@pytest.fixture(scope="module")
def gpu() -> CudaDevice:
    """This machine's GPU, opened by the first test and not at collection."""
    try:
        return open_gpu()
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def current(gpu: CudaDevice) -> Iterator[None]:
    """The context is bound to this thread, as in an engine."""
    with gpu.current():
        yield


@pytest.fixture
def break_device() -> Callable[[int], None]:
    """Makes every call to the driver on the CPU return this code from now on; 0 repairs it."""
    found: Callable[[int], None] | None = getattr(ctypes.CDLL("libcuda.so.1"), "on_cpu_break", None)
    if found is None:
        pytest.skip("this is a real GPU")
    return found


def counts_of(dtype: Any) -> np.ndarray:
    """Every value that a sample may have, once."""
    return np.arange(np.iinfo(dtype).max + 1).astype(dtype)


class Widening:
    """Upload, kernel, download, recorded as one graph: the work of an engine around its network."""

    def __init__(self, gpu: CudaDevice, size: int, dtype: Any, stream: Any = None) -> None:
        self.stream = gpu.stream() if stream is None else stream
        self.source, self.target = Buffer(gpu, (size,), dtype), Buffer(gpu, (size,), np.float32)
        kernel = gpu.kernel(f"widen_{8 * np.dtype(dtype).itemsize}", "PPi")

        def work() -> None:
            self.source.upload(self.stream, size)
            kernel.launch(self.stream, size, 1, self.source.address, self.target.address, size)
            self.target.download(self.stream, size)

        work()
        self.stream.synchronize()
        self.graph = CudaGraph(self.stream, work)

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        np.copyto(self.source.host, counts)
        self.graph.launch()
        self.stream.synchronize()
        return self.target.host.copy()

    def free(self) -> None:
        self.graph.free()
        self.source.free()
        self.target.free()


def test_gpu_is_described(gpu: CudaDevice) -> None:
    assert gpu is open_gpu()
    assert gpu.name
    assert float(gpu.compute_capability) >= 7.5
    assert 0 < gpu.free_bytes() <= gpu.total_bytes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_recorded_work_reads_the_host_at_each_launch(gpu: CudaDevice, dtype: Any) -> None:
    counts = counts_of(dtype)
    widening = Widening(gpu, len(counts), dtype)
    for turn in range(3):
        rolled = np.roll(counts, turn)
        np.testing.assert_array_equal(widening(rolled), rolled.astype(np.float32))
    widening.free()


def test_work_of_several_threads_is_independent(gpu: CudaDevice) -> None:
    """Recording, too: it is bound to its thread."""
    wrong: list[int] = []

    def work(seed: int) -> None:
        counts = np.random.default_rng(seed).integers(0, 256, 100_000).astype(np.uint8)
        with gpu.current():
            widening = Widening(gpu, len(counts), np.uint8)
            for _ in range(200):
                if not np.array_equal(widening(counts), counts):
                    wrong.append(seed)
            widening.free()
            del widening

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_work_that_cannot_be_recorded_is_one_line_and_the_stream_still_works(gpu: CudaDevice) -> None:
    stream, buffer = gpu.stream(), Buffer(gpu, (1000,), np.uint8)

    def wait_inside() -> None:
        buffer.upload(stream, 1000)
        stream.synchronize()

    with pytest.raises(EngineError, match="tensorrt engine: "), gpu.current():
        CudaGraph(stream, wait_inside)
    widened = Widening(gpu, 1000, np.uint8, stream)
    assert (widened(np.full(1000, 7, np.uint8)) == 7.0).all()
    widened.free()
    buffer.free()


def test_allocation_beyond_the_memory_is_one_line_and_holds_nothing(gpu: CudaDevice) -> None:
    before = gpu.free_bytes()
    with pytest.raises(EngineError, match=r"the GPU reports .*out of memory"), gpu.current():
        gpu.driver.mem_alloc(2 * gpu.total_bytes)
    assert before - gpu.free_bytes() <= LEAK_BYTES


def test_program_that_used_the_gpu_ends_silently() -> None:
    """PyCUDA would detach the context, which it does not own, on whichever thread opened it."""
    program = (
        "import threading; from engines.runtime.tensorrt.cuda import open_gpu\n"
        "opening = threading.Thread(target=open_gpu); opening.start(); opening.join()\n"
        "with open_gpu().current(): stream = open_gpu().stream(); del stream\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_broken_device_is_one_line_each_time(gpu: CudaDevice, break_device: Callable[[int], None]) -> None:
    """As after an unspecified launch failure: every call returns it, and PyCUDA warns of memory that it cannot free."""
    resizer = resizer_of(gpu)
    image = np.zeros((1200, 1600, 1), np.uint8)
    resizer.shrink(image)
    break_device(719)
    try:
        for _ in range(2):
            with pytest.raises(EngineError, match=r"the GPU reports .*unspecified launch failure"):
                resizer.shrink(image)
        resizer.close()
    finally:
        break_device(0)


def test_buffers_and_graphs_free_all_memory(gpu: CudaDevice) -> None:
    def once() -> None:
        widening = Widening(gpu, 256**2, np.uint16)
        widening(np.zeros(256**2, np.uint16))
        widening.free()

    for _ in range(5):
        once()
    before = gpu.free_bytes()
    for _ in range(200):
        once()
    assert before - gpu.free_bytes() <= LEAK_BYTES


@pytest.mark.usefixtures("break_device")
@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")
def test_plan_that_is_rejected_is_set_aside_and_built_again_once(
    gpu: CudaDevice,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """TensorRT for RTX builds the plans, and its runtime does not accept our driver."""
    if not RTX.exists():
        pytest.skip("TensorRT for RTX is not here: make tensorrt")
    monkeypatch.syspath_prepend(str(RTX))
    monkeypatch.setitem(sys.modules, "tensorrt", import_module("tensorrt_rtx_bindings"))
    caplog.set_level(logging.INFO)
    free_before = gpu.free_bytes()
    for built in (1, 2):
        with pytest.raises(EngineError, match=r"the plan is rejected \(.*CUDA"):
            TensorRtEngine(tiny_bundle, EngineOptions(directory=tmp_path))
        assert len([record for record in caplog.records if record.message.startswith("built in")]) == built
        assert len(list((tmp_path / "engines").glob("*.broken"))) == built - 1
    assert gpu.free_bytes() == free_before


def resizer_of(gpu: CudaDevice, channels: int = 1, bit_depth: int = 8) -> GpuResizer:
    colour = "GRAY" if channels == 1 else "BGR"
    return GpuResizer(gpu, Geometry(256, 256, channels, bit_depth, colour))  # type: ignore[arg-type]


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(2160, 3840), (1080, 1920), (1025, 1025)], ids=str)
def test_large_images_are_shrunk_as_on_the_cpu_within_one_grey_level(
    gpu: CudaDevice, size: tuple[int, int], channels: int, bit_depth: int
) -> None:
    resizer = resizer_of(gpu, channels, bit_depth)
    geometry = Geometry(256, 256, channels, bit_depth, "GRAY" if channels == 1 else "BGR")  # type: ignore[arg-type]
    image = np.random.default_rng(5).integers(0, 2**bit_depth - 1, (*size, channels), geometry.dtype, endpoint=True)
    assert resizer.wants(image)
    for _ in range(2):
        assert np.abs(resizer.shrink(image).astype(np.int64) - fit(image, geometry)).max() <= 1
    resizer.close()
    with pytest.raises(EngineError, match="already closed"):
        resizer.shrink(image)


def test_images_of_many_sizes_keep_the_memory_of_a_few(gpu: CudaDevice) -> None:
    resizer = resizer_of(gpu)

    def shrink(sizes: range) -> None:
        for size in sizes:
            resizer.shrink(np.zeros((size, 2000, 1), np.uint8))

    shrink(range(2000, 2000 + MOST_SIZES))
    before = gpu.free_bytes()
    shrink(range(1900, 2000))
    assert before - gpu.free_bytes() <= LEAK_BYTES
    resizer.close()


def test_fitter_on_a_broken_device_fits_on_the_cpu(gpu: CudaDevice, break_device: Callable[[int], None]) -> None:
    geometry = Geometry(256, 256, 1)
    fitter = ImageFitter(resizer_of(gpu), geometry)
    image = np.random.default_rng(5).integers(0, 255, (1200, 1600, 1), np.uint8)
    shrunk = fitter.fit(image)
    break_device(719)
    try:
        np.testing.assert_array_equal(fitter.fit(image), fit(image, geometry))
    finally:
        break_device(0)
    assert np.abs(shrunk.astype(int) - fit(image, geometry)).max() <= 1
    fitter.close()


@pytest.fixture
def network(gpu: CudaDevice, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> FakePlan:
    """A plan whose network widens the bytes of its float32 input to its outputs: wrong addresses would show."""
    monkeypatch.setitem(sys.modules, "tensorrt", FAKE_TENSORRT)
    streams: dict[int, Any] = {}
    make_stream, widen = gpu.stream, gpu.kernel("widen_8", "PPi")

    def remembered() -> Any:
        stream = make_stream()
        streams[stream.handle] = stream
        return stream

    def queue(handle: int, addresses: dict[str, int], count: int) -> None:
        for name, values in (("score", count), ("heatmap", count * int(np.prod(tiny_bundle.heatmap_shape)))):
            widen.launch(streams[handle], values, 1, addresses["frames"], addresses[name], values)

    monkeypatch.setattr(gpu, "stream", remembered)
    return FakePlan(queue)


def answers(frames: np.ndarray, bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    """What that network computes."""
    count, shape = len(frames), bundle.heatmap_shape
    samples = np.frombuffer(frames.astype("<f4").tobytes(), np.uint8).astype(np.float32)
    return samples[:count], samples[: count * shape[0] * shape[1]].reshape(count, *shape)


def test_runner_computes_every_batch_from_the_frames_of_its_call(
    gpu: CudaDevice, network: FakePlan, tiny_bundle: Bundle
) -> None:
    runtime: Any = SimpleNamespace(messages=TensorRtMessages())
    before = gpu.free_bytes()
    runner = PlanRunner(gpu, network, runtime, tiny_bundle, max_batch=4)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for count in (1, 4, 2, 3, 1):
        frames = rng.integers(0, 255, (count, *tiny_bundle.geometry.shape)).astype(np.uint8)
        score, heatmap = runner.run(frames)
        wanted = answers(frames, tiny_bundle)
        np.testing.assert_array_equal(score, wanted[0])
        np.testing.assert_array_equal(heatmap, wanted[1])
    runner.close()
    assert before - gpu.free_bytes() <= LEAK_BYTES
