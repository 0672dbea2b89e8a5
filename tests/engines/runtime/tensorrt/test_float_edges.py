"""The graph for TensorRT computes the same as the bundle's: ONNX Runtime runs both."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from engines.bundles.bundle import MODEL_FP16, Bundle, read_bundle
from engines.errors import EngineError
from engines.runtime.onnxruntime import open_session
from engines.runtime.tensorrt.float_edges import with_float_edges


@pytest.fixture(params=["camera", "xray", "tiny"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """The shipped bundles, 8 and 16 bits, and a graph that transposes the frames before the Cast."""
    if request.param == "tiny":
        return request.getfixturevalue("tiny_bundle")
    return read_bundle(Path(str(files("engines.bundles.shipped"))) / f"simulator-{request.param}.bundle")


def test_graph_with_float_edges_computes_the_same(bundle: Bundle) -> None:
    model, frames = bundle.read(MODEL_FP16), bundle.reference().frames[:1]
    score, heatmap = open_session(model, threads=1).run(("score", "heatmap"), {"frames": frames})
    edited = open_session(with_float_edges(model), threads=1)
    assert edited.get_inputs()[0].type == "tensor(float)"
    floats = edited.run(("score", "heatmap"), {"frames": frames.astype(np.float32)})
    np.testing.assert_allclose(floats[0], score, rtol=1e-6)
    np.testing.assert_allclose(floats[1], heatmap, rtol=1e-5, atol=1e-6)


def test_graph_with_float_edges_has_integers_in_shapes_only(bundle: Bundle) -> None:
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
    graph = onnx.load_from_string(with_float_edges(bundle.read(MODEL_FP16))).graph
    types = {tensor.data_type for tensor in graph.initializer}
    assert types <= {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64}
    values = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
    assert values.isdisjoint({onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.UINT16})
    model = onnx.load_from_string(with_float_edges(bundle.read(MODEL_FP16)))
    onnx.checker.check_model(model, full_check=True)


def test_graph_with_float_edges_already_is_unchanged(bundle: Bundle) -> None:
    model = bundle.read(MODEL_FP16)
    once = with_float_edges(model)
    assert once != model
    assert with_float_edges(once) == once


@pytest.mark.parametrize("content", [b"not a model", b"\x3a\xff\xff\xff\x7f", b"\x3a\x05abc"])
def test_bytes_that_are_not_onnx_are_rejected_in_one_line(content: bytes) -> None:
    with pytest.raises(EngineError, match="the model is not ONNX"):
        with_float_edges(content)
