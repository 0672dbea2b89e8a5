"""Compares TensorRT with PyTorch and ONNX Runtime on an NVIDIA GPU: `make bench-gpu`.

    python -m benchmarks.engines.gpu [--seconds 3]

Latency of a call from frames in host memory to scores and heatmaps in host memory, for 64 and 256 pixels and batches of
1, 8 and 32, in FP16, with the lower bound: reading the weights once at the device's copy bandwidth. Then images of 4K,
shrunk to the model's input on the GPU and on the CPU. Engines that are not installed are listed as such. The result is
in benchmarks/engines/gpu.md.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agent.tools.bench import noise_frames
from benchmarks.engines.__main__ import bundle_of
from benchmarks.machine import describe_machine
from engines.bundles import Bundle, Frames, Geometry
from engines.errors import EngineError
from engines.images import fit
from engines.runtime import EngineOptions, OnnxRuntimeEngine, load_scorer
from engines.runtime.tensorrt.cuda import open_gpu
from engines.runtime.tensorrt.engine import TensorRtEngine
from engines.runtime.tensorrt.gpu_resize import GpuResizer

RESULT = Path(__file__).with_suffix(".md")
SIZES = (64, 256)
BATCHES = (1, 8, 32)
COPY_BYTES = 2**30

Call = Callable[[Frames], Any]

HEAD = """\
# The engines on a GPU

`make bench-gpu`; {machine}; {gpu}, {bandwidth:.0f} GB/s copied (bytes read and written).

A call: frames in host memory to scores and heatmaps in host memory, p50 / p99, ms.
"""


def calls(bundle: Bundle, directory: Path, stack: ExitStack) -> dict[str, Call | None]:
    """Every way to score, by name; None if it is not available here, with the reason as its name."""
    ways: dict[str, Call | None] = {}
    try:
        tensorrt = stack.enter_context(
            TensorRtEngine(bundle, EngineOptions(directory=directory), max_batch=max(BATCHES))
        )
        ways[tensorrt.detail] = tensorrt.score
    except EngineError as error:
        ways[str(error)] = None
    onnxruntime = stack.enter_context(OnnxRuntimeEngine(bundle))
    scorer = half_scorer(bundle)
    return ways | {
        "PyTorch eager, FP16": lambda frames: eager(scorer, frames),
        "PyTorch with CUDA graphs, FP16": GraphedScorer(scorer),
        f"{onnxruntime.detail}, FP32": onnxruntime.score,
    }


def half_scorer(bundle: Bundle) -> Any:
    """The networks on the GPU, in float16 where the FP16-typed graph is."""
    scorer = copy.deepcopy(load_scorer(bundle)).cuda().eval()
    scorer.networks.half()
    return scorer


def eager(scorer: Any, frames: Frames) -> Any:
    """One call in PyTorch's eager mode, copies included."""
    import torch

    with torch.inference_mode():
        return [answer.float().cpu().numpy() for answer in scorer(torch.from_numpy(frames).cuda())]


class GraphedScorer:
    """One call as a CUDA graph, captured once for each batch size."""

    def __init__(self, scorer: Any) -> None:
        self._scorer = scorer
        self._recorded: dict[int, tuple[Any, Any, Any]] = {}

    def __call__(self, frames: Frames) -> Any:
        import torch

        if len(frames) not in self._recorded:
            self._recorded[len(frames)] = self._record(frames)
        graph, given, answers = self._recorded[len(frames)]
        given.copy_(torch.from_numpy(frames))
        graph.replay()
        return [answer.cpu().numpy() for answer in answers]

    def _record(self, frames: Frames) -> tuple[Any, Any, Any]:
        """As in PyTorch's documentation: warm up on a stream of its own, then capture."""
        import torch

        given = torch.from_numpy(frames).cuda()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(3):
                self._scorer(given)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph):
            answers = self._scorer(given)
        return graph, given, answers


def percentiles(call: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """p50 and p99 of the duration of a call, in milliseconds."""
    for _ in range(10):
        call()
    taken, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        call()
        taken.append(1e3 * (time.perf_counter() - start))
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def copy_bandwidth() -> float:
    """Bytes per second that a copy within the device reads and writes, the best of ten."""
    import torch

    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target, best = torch.empty_like(source), 0.0
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        best = max(best, 2 * COPY_BYTES / (time.perf_counter() - start))
    return best


def weight_bytes(bundle: Bundle) -> int:
    """Size of the networks' weights in float16."""
    return sum(2 * weights.numel() for weights in load_scorer(bundle).networks.parameters())


def section(size: int, seconds: float, bandwidth: float, directory: Path) -> list[str]:
    """One table: a row per engine, a column per batch size."""
    bundle = bundle_of(size)
    frames, floor = np.stack(noise_frames(bundle)), 1e3 * weight_bytes(bundle) / bandwidth
    lines = [f"## {size}×{size}", "", "| engine | " + " | ".join(f"batch {batch}" for batch in BATCHES) + " |"]
    lines.append("|---|" + "---|" * len(BATCHES))
    with ExitStack() as stack:
        for name, call in calls(bundle, directory, stack).items():
            lines.append(f"| {name} | " + " | ".join(cells(call, frames, seconds)) + " |")
    weights = f"{weight_bytes(bundle) / 1e6:.1f} MB of weights read once"
    lines.append(f"| lower bound: {weights} | " + f"{floor:.4f} | " * len(BATCHES))
    return [*(line.rstrip() for line in lines), ""]


def cells(call: Call | None, frames: Frames, seconds: float) -> list[str]:
    """The cells of one engine, one for each batch size."""
    if call is None:
        return ["–" for _ in BATCHES]
    measured = (percentiles(partial(call, frames[:batch]), seconds) for batch in BATCHES)
    return [f"{p50:.2f} / {p99:.2f}" for p50, p99 in measured]


def shrinking(seconds: float) -> list[str]:
    """A table of images shrunk to 256×256 on GPU and CPU; copies to the GPU and back are included."""
    lines = ["## An image of 3840×2160 to 256×256, p50 / p99, ms", "", "| image | GPU | CPU |", "|---|---|---|"]
    try:
        gpu = open_gpu()
    except EngineError as error:
        return [*lines, f"| {error} | – | – |", ""]
    for geometry in (Geometry(256, 256, 1, 8), Geometry(256, 256, 1, 16), Geometry(256, 256, 3, 8, "BGR")):
        with gpu.current():
            resizer = GpuResizer(gpu, geometry)
        image = np.random.default_rng(0).integers(0, 255, (2160, 3840, geometry.channels)).astype(geometry.dtype)
        ways = (partial(resizer.shrink, image), partial(fit, image, geometry))
        measured = [percentiles(way, seconds) for way in ways]
        resizer.close()
        row = " | ".join(f"{p50:.2f} / {p99:.2f}" for p50, p99 in measured)
        lines.append(f"| {geometry.channels} × {geometry.bit_depth} bit | {row} |")
    return [*lines, ""]


def main() -> None:
    """Measure and write the tables."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each engine and batch size")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit(f"PyTorch {torch.__version__} finds no GPU, which the table compares with")
    bandwidth = copy_bandwidth()
    head = HEAD.format(machine=describe_machine(), gpu=torch.cuda.get_device_name(), bandwidth=bandwidth / 1e9)
    lines = [*head.splitlines(), ""]
    for size in SIZES:
        lines += section(size, options.seconds, bandwidth, Path("build/bench-engines"))
    lines += shrinking(options.seconds)
    text = "\n".join(lines).rstrip() + "\n"
    options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
