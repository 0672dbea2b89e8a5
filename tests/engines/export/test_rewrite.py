"""What the rules rewrite says the same as before in fewer steps; what they do not know for certain stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the train extra")

from onnx import TensorProto, helper  # noqa: E402

from engines.bundles.bundle import Geometry, Normalisation  # noqa: E402
from engines.export.rewrite import (  # noqa: E402
    add_constants_once,
    resize_by_factors,
    rewrite,
    subtract_by_weights,
    sum_channels_by_weights,
)
from engines.recipes.recipe import find_recipe  # noqa: E402
from tests.support.onnx_models import kinds_after, model  # noqa: E402


def resize(sizes: tuple[int, int], mode: str = "nearest", how: str = "asymmetric") -> Any:
    """As exporters write it: the batch is taken from the input's shape."""
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
def test_resize_by_whole_factors_needs_no_sizes(sizes: tuple[int, int], mode: str, how: str) -> None:
    assert kinds_after(resize(sizes, mode, how), resize_by_factors) == {"Resize": 1}


def test_resize_to_the_same_size_does_nothing() -> None:
    assert kinds_after(resize((8, 6)), resize_by_factors) == {"Identity": 1}


@pytest.mark.parametrize("sizes", [(16, 9), (4, 6)], ids=str)
def test_resize_by_broken_factors_stays(sizes: tuple[int, int]) -> None:
    assert kinds_after(resize(sizes), resize_by_factors) == {"Shape": 1, "Concat": 1, "Resize": 1}


def test_resize_by_other_rules_stays() -> None:
    """With aligned corners the factor is not the ratio of the sizes."""
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
    assert kinds_after(proto, add_constants_once) == {"Add": 2}
    assert sorted(proto.graph.node[0].input) == ["columns", "rows"]
    assert sorted(proto.graph.node[1].input) == ["x", "y.constant"]


def test_sum_that_others_use_too_stays() -> None:
    proto = sums("rows", "columns")
    proto.graph.node.append(helper.make_node("Mul", ["z", "y"], ["w"]))
    proto.graph.output[0].name = "w"
    rewrite(proto, [add_constants_once])
    assert [sorted(node.input) for node in proto.graph.node] == [["rows", "x"], ["columns", "z"], ["y", "z"]]


def difference(*, shared: bool = False) -> Any:
    values = np.random.default_rng(1).standard_normal
    nodes = [
        helper.make_node("Conv", ["x", "a", "b"], ["first"], kernel_shape=[1, 1]),
        helper.make_node("Conv", ["x", "c", "b"], ["again"], kernel_shape=[1, 1]),
        helper.make_node("Sub", ["first", "again"], ["d"]),
        helper.make_node("Mul", ["d", "again" if shared else "d"], ["y"]),
    ]
    weights = {name: values((16, 16, 1, 1)).astype(np.float32) for name in "ac"}
    return model(nodes, {**weights, "b": values(16).astype(np.float32)})


def test_difference_of_convolutions_is_a_sum() -> None:
    """Also where both have the same offsets."""
    assert kinds_after(difference(), subtract_by_weights) == {"Conv": 2, "Add": 1, "Mul": 1}


def test_difference_of_a_convolution_that_others_use_stays() -> None:
    assert kinds_after(difference(shared=True), subtract_by_weights) == {"Conv": 2, "Sub": 1, "Mul": 1}


@pytest.mark.parametrize(("axes", "keep", "left"), [([1], 1, "Conv"), ([1], 0, "ReduceSum"), ([2], 1, "ReduceSum")])
def test_sum_over_channels_is_a_convolution(axes: list[int], keep: int, left: str) -> None:
    node = helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=keep)
    proto = model([node], {"axes": np.array(axes)}, 3 + keep)
    assert kinds_after(proto, sum_channels_by_weights)[left] == 1


def test_whole_numbers_are_left_alone() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT32),
        helper.make_node("ReduceSum", ["i", "axes"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["y"], to=TensorProto.FLOAT),
    ]
    kinds = kinds_after(model(nodes, {"axes": np.array([1])}, 3), sum_channels_by_weights)
    assert kinds == {"Cast": 2, "ReduceSum": 1}


@pytest.fixture(scope="module")
def default_graphs() -> dict[bool, Any]:
    """Both graphs of the default recipe, by whether they are FP16-typed; what is in the weights is no matter."""
    torch = pytest.importorskip("torch", reason="export needs the train extra")
    from engines.export.to_onnx import export_onnx

    geometry, recipe = Geometry(64, 64, 1), find_recipe("default")
    scorer = recipe.scorer(recipe.networks(geometry), Normalisation(low=0, high=255)).eval()
    frames = torch.rand(24, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    scorer.settle([frames], [frames])
    return {half: onnx.load_from_string(export_onnx(scorer, geometry, half=half)).graph for half in (False, True)}


def test_rules_find_their_patterns_in_what_the_default_recipe_exports(default_graphs: dict[bool, Any]) -> None:
    """Exporters change what they write; a rule that no longer finds anything would go unnoticed."""
    names = {name for node in default_graphs[False].node for name in node.input}
    for ending in (".constant", ".negative", ".offsets", ".scale", ".blocks"):
        assert any(name.endswith(ending) for name in names), ending


def test_frames_of_8_bits_reach_the_first_layer_in_few_steps(default_graphs: dict[bool, Any]) -> None:
    """They are in range, so that nothing is cut off; normalising and standardising are one product and one sum."""
    kinds = [node.op_type for node in default_graphs[False].node if node.op_type != "Cast"]
    assert sorted(kinds[: kinds.index("Conv")]) == ["Add", "Mul", "Transpose"]


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_no_size_is_computed_and_every_size_is_known_but_the_batch(half: bool, default_graphs: dict[bool, Any]) -> None:
    """A plan whose heatmap has no known size would be refused."""
    graph = default_graphs[half]
    assert not [node.name for node in graph.node if node.op_type == "Shape"]
    assert all(len(node.input) == 3 for node in graph.node if node.op_type == "Resize")
    (heatmap,) = (output for output in graph.output if output.name == "heatmap")
    assert [dim.dim_value for dim in heatmap.type.tensor_type.shape.dim[1:]] == [16, 16]


def test_kernels_of_the_fp16_graph_are_there_from_the_start(default_graphs: dict[bool, Any]) -> None:
    graph = default_graphs[True]
    constants = {tensor.name for tensor in graph.initializer}
    kernels = [name for node in graph.node if node.op_type in ("Conv", "ConvTranspose") for name in node.input[1:]]
    assert kernels
    assert set(kernels) <= constants
