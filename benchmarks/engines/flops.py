"""The model's floating-point operations, and the speed of this machine by a measured GEMM."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import prod

import numpy as np
import onnx

# Square matrices of this side exceed the caches and keep every core busy.
GEMM_SIDE = 1536


def operations_per_frame(model: bytes) -> float:
    """Count the floating-point operations of the convolutions and matrix products for one frame."""
    proto = onnx.load_from_string(model)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes |= {value.name: _shape(value) for value in (*graph.value_info, *graph.input, *graph.output)}
    return sum(_operations(node, shapes) for node in graph.node)


def gemm_gflops(seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Measure GFLOP/s of a float32 product of two square matrices: the better of NumPy's and PyTorch's median.

    Medians, as for the engines, which are not measured in the best moments of a busy machine either.
    """
    import torch

    a = np.random.default_rng(0).standard_normal((GEMM_SIDE, GEMM_SIDE), np.float32)
    b, out = a.T.copy(), np.empty_like(a)
    ta, tb, tout = torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(out)
    numpy_seconds, torch_seconds, end = [], [], clock() + seconds
    while clock() < end:
        start = clock()
        np.matmul(a, b, out=out)
        middle = clock()
        torch.mm(ta, tb, out=tout)
        numpy_seconds.append(middle - start)
        torch_seconds.append(clock() - middle)
    return float(2 * GEMM_SIDE**3 / min(np.median(numpy_seconds), np.median(torch_seconds)) / 1e9)


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _operations(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> float:
    """Two for each multiply-add of a layer; elementwise operations do not count."""
    out = shapes.get(node.output[0], [])
    if node.op_type == "Conv":
        return 2.0 * prod(out) * prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return 2.0 * prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type in ("MatMul", "Gemm", "Einsum"):
        return 2.0 * prod(out) * shapes[node.input[0]][-1]
    return 0.0
