"""Rewritten graphs give the same result in fewer nodes; where a condition may not hold, the graph stays unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the train extra")

from onnx import TensorProto, helper  # noqa: E402

from engines.export.rewrite import (  # noqa: E402
    add_constants_first,
    resize_by_factors,
    rewrite,
    subtract_by_weights,
    sum_channels_by_weights,
)
from tests.engines.export.conftest import ExportedRecipe  # noqa: E402
from tests.support.onnx_models import kinds_after, model  # noqa: E402


def resize(sizes: tuple[int, int], mode: str = "nearest", how: str = "asymmetric") -> Any:
    """As exporters write it: the batch size is taken from the input's shape."""
    nodes = [
        helper.make_node("Shape", ["x"], ["front"], end=2),
        helper.make_node("Concat", ["front", "back"], ["sizes"], axis=0),
        helper.make_node(
            "Resize", ["x", "", "", "sizes"], ["y"], mode=mode, coordinate_transformation_mode=how, nearest_mode="floor"
        ),
    ]
    return model(nodes, {"back": np.array(sizes, np.int64)})


@pytest.mark.parametrize(("mode", "how"), [("nearest", "asymmetric"), ("linear", "half_pixel")])
@pytest.mark.parametrize("sizes", [(16, 12), (8, 12)], ids=str)
def test_resize_by_whole_factors_becomes_constant(sizes: tuple[int, int], mode: str, how: str) -> None:
    assert kinds_after(resize(sizes, mode, how), resize_by_factors) == {"Resize": 1}


def test_resize_to_the_same_size_becomes_an_identity() -> None:
    assert kinds_after(resize((8, 6)), resize_by_factors) == {"Identity": 1}


@pytest.mark.parametrize("sizes", [(16, 9), (4, 6)], ids=str)
def test_resize_by_fractional_factors_stays(sizes: tuple[int, int]) -> None:
    assert kinds_after(resize(sizes), resize_by_factors) == {"Shape": 1, "Concat": 1, "Resize": 1}


def test_resize_with_aligned_corners_stays() -> None:
    """Its factor is not the ratio of the sizes."""
    kinds = kinds_after(resize((16, 12), "linear", "align_corners"), resize_by_factors)
    assert kinds == {"Shape": 1, "Concat": 1, "Resize": 1}


def sums(*constants: str) -> Any:
    values = np.random.default_rng(1).standard_normal
    nodes = [helper.make_node("Add", ["x", constants[0]], ["z"]), helper.make_node("Add", [constants[1], "z"], ["y"])]
    return model(
        nodes,
        {"rows": values((16, 8, 1)).astype(np.float32), "columns": values((16, 1, 6)).astype(np.float32)},
    )


def test_two_constants_are_added_to_each_other_first() -> None:
    proto = sums("rows", "columns")
    assert kinds_after(proto, add_constants_first) == {"Add": 2}
    assert sorted(proto.graph.node[0].input) == ["columns", "rows"]
    assert sorted(proto.graph.node[1].input) == ["x", "y.constant"]


def test_sum_with_another_user_stays() -> None:
    proto = sums("rows", "columns")
    proto.graph.node.append(helper.make_node("Mul", ["z", "y"], ["w"]))
    proto.graph.output[0].name = "w"
    rewrite(proto, [add_constants_first])
    assert [sorted(node.input) for node in proto.graph.node] == [["rows", "x"], ["columns", "z"], ["y", "z"]]


def difference(*, shared: bool = False) -> Any:
    values = np.random.default_rng(1).standard_normal
    nodes = [
        helper.make_node("Conv", ["x", "a", "b"], ["first"], kernel_shape=[1, 1]),
        helper.make_node("Conv", ["x", "c", "b"], ["second"], kernel_shape=[1, 1]),
        helper.make_node("Sub", ["first", "second"], ["d"]),
        helper.make_node("Mul", ["d", "second" if shared else "d"], ["y"]),
    ]
    weights = {name: values((16, 16, 1, 1)).astype(np.float32) for name in "ac"}
    return model(nodes, {**weights, "b": values(16).astype(np.float32)})


def test_difference_of_convolutions_becomes_a_sum() -> None:
    """Also if both share their bias."""
    assert kinds_after(difference(), subtract_by_weights) == {"Conv": 2, "Add": 1, "Mul": 1}


def test_difference_of_a_convolution_with_another_user_stays() -> None:
    assert kinds_after(difference(shared=True), subtract_by_weights) == {"Conv": 2, "Sub": 1, "Mul": 1}


@pytest.mark.parametrize(("axes", "keep", "left"), [([1], 1, "Conv"), ([1], 0, "ReduceSum"), ([2], 1, "ReduceSum")])
def test_sum_over_channels_becomes_a_convolution(axes: list[int], keep: int, left: str) -> None:
    node = helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=keep)
    proto = model([node], {"axes": np.array(axes)}, 3 + keep)
    assert kinds_after(proto, sum_channels_by_weights)[left] == 1


def test_sum_of_integers_stays() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT32),
        helper.make_node("ReduceSum", ["i", "axes"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["y"], to=TensorProto.FLOAT),
    ]
    kinds = kinds_after(model(nodes, {"axes": np.array([1])}, 3), sum_channels_by_weights)
    assert kinds == {"Cast": 2, "ReduceSum": 1}


@pytest.fixture(scope="module")
def default_graphs(default_export: ExportedRecipe) -> dict[bool, Any]:
    """Both graphs of the default recipe, by whether they are FP16-typed."""
    models = {False: default_export.fp32, True: default_export.fp16}
    return {half: onnx.load_from_string(model).graph for half, model in models.items()}


def test_rules_find_their_patterns_in_the_export_of_the_default_recipe(default_graphs: dict[bool, Any]) -> None:
    """Exporters change their output; a rule that no longer matches anything would go unnoticed."""
    names = {name for node in default_graphs[False].node for name in node.input}
    for ending in (".constant", ".negative", ".offsets", ".scale", ".blocks"):
        assert any(name.endswith(ending) for name in names), ending


def test_frames_of_8_bits_reach_the_first_layer_in_few_nodes(default_graphs: dict[bool, Any]) -> None:
    """They are not clipped; normalising and standardising are one product and one sum."""
    kinds = [node.op_type for node in default_graphs[False].node if node.op_type != "Cast"]
    assert sorted(kinds[: kinds.index("Conv")]) == ["Add", "Mul", "Transpose"]


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_all_sizes_but_the_batch_are_constant(half: bool, default_graphs: dict[bool, Any]) -> None:
    """TensorRT's plan check rejects a heatmap without a known size."""
    graph = default_graphs[half]
    assert not [node.name for node in graph.node if node.op_type == "Shape"]
    assert all(len(node.input) == 3 for node in graph.node if node.op_type == "Resize")
    (heatmap,) = (output for output in graph.output if output.name == "heatmap")
    assert [dim.dim_value for dim in heatmap.type.tensor_type.shape.dim[1:]] == [16, 16]


def test_kernels_of_the_fp16_graph_are_constants(default_graphs: dict[bool, Any]) -> None:
    graph = default_graphs[True]
    constants = {tensor.name for tensor in graph.initializer}
    kernels = [name for node in graph.node if node.op_type in ("Conv", "ConvTranspose") for name in node.input[1:]]
    assert kernels
    assert set(kernels) <= constants
