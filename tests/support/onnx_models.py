"""Small ONNX graphs for tests of rewrite rules, and the check of a rewritten graph."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the train extra")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from engines.export.rewrite import rewrite  # noqa: E402
from engines.runtime.onnxruntime import open_session  # noqa: E402

MAPS = ("N", 16, 8, 6)


def model(nodes: list[Any], constants: dict[str, np.ndarray], axes: int = 4) -> Any:
    """A graph from feature maps `x` [N, 16, 8, 6] to `y` with `axes` axes."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, MAPS)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * axes)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def kinds_after(proto: Any, rule: Any) -> Counter[str]:
    """Apply a rule, check that the outputs stay the same, and count the remaining nodes by kind."""
    frames = np.random.default_rng(0).standard_normal((3, *MAPS[1:])).astype(np.float32)
    (before,) = open_session(proto.SerializeToString()).run(("y",), {"x": frames})
    rewrite(proto, [rule])
    onnx.checker.check_model(proto, full_check=True)
    (after,) = open_session(proto.SerializeToString()).run(("y",), {"x": frames})
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)
    return Counter(node.op_type for node in proto.graph.node)
