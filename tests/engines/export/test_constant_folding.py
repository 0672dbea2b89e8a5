"""Folded scales and shifts give the same result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the train extra")

from onnx import helper  # noqa: E402

from engines.export.constant_folding import fold_scale_and_shift  # noqa: E402
from tests.support.onnx_models import kinds_after, model  # noqa: E402

CHANNELS = np.linspace(0.5, 2.0, 16, dtype=np.float32).reshape(16, 1, 1)
CONSTANTS = {
    "one": np.float32(1.5),
    "each": CHANNELS,
    "others": 3.0 - CHANNELS[None],
    "everywhere": np.arange(48, dtype=np.float32).reshape(8, 6) + 1.0,
    "ones": np.ones((1, 16, 1, 1), np.float32),
    "kernel": np.linspace(-1.0, 1.0, 512, dtype=np.float32).reshape(32, 16, 1, 1),
    "offset": np.linspace(-1.0, 1.0, 32, dtype=np.float32),
}


def steps(*chain: tuple[str, str], layer: tuple[str, ...] = (), backwards: bool = False) -> Any:
    """Maps `x`, a convolution if there is a `layer`, then each operator with its constant; the last value is `y`."""
    names = ["x", *(f"v{index}" for index in range(len(chain) + bool(layer) - 1)), "y"]
    nodes = [helper.make_node("Conv", ["x", *layer], [names[1]], kernel_shape=[1, 1])] if layer else []
    for kind, constant in chain:
        inputs, output = [names[len(nodes)], constant], names[len(nodes) + 1]
        nodes.append(helper.make_node(kind, inputs[::-1] if backwards else inputs, [output]))
    used = {name for node in nodes for name in node.input}
    return model(nodes, {name: np.asarray(value) for name, value in CONSTANTS.items() if name in used})


def test_chain_of_constants_becomes_one_product_and_one_sum() -> None:
    proto = steps(("Mul", "one"), ("Sub", "each"), ("Div", "others"), ("Add", "one"), ("Sub", "others"))
    assert kinds_after(proto, fold_scale_and_shift) == {"Mul": 1, "Add": 1}


def test_constants_on_the_left_of_products_and_sums_are_folded_too() -> None:
    proto = steps(("Mul", "one"), ("Add", "each"), ("Mul", "others"), backwards=True)
    assert kinds_after(proto, fold_scale_and_shift) == {"Mul": 1, "Add": 1}


@pytest.mark.parametrize("layer", [("ones",), ("kernel", "offset")], ids=["without bias", "with bias"])
def test_constants_are_folded_into_a_convolution(layer: tuple[str, ...]) -> None:
    proto = steps(("Div", "one"), ("Add", "one"), layer=layer)
    assert kinds_after(proto, fold_scale_and_shift) == {"Conv": 1}


def test_constants_for_more_channels_than_the_convolution_has_stay() -> None:
    """A constant for each of 16 channels broadcasts one map to 16."""
    proto = steps(("Mul", "each"), ("Add", "one"), layer=("ones",))
    assert kinds_after(proto, fold_scale_and_shift) == {"Conv": 1, "Mul": 1, "Add": 1}


@pytest.mark.parametrize(
    ("chain", "backwards"),
    [
        ([("Mul", "one"), ("Add", "each")], False),
        ([("Mul", "one"), ("Add", "everywhere"), ("Div", "one")], False),
        ([("Div", "one"), ("Sub", "one"), ("Div", "one")], True),
    ],
    ids=["not shorter", "a constant per place", "constant divided by maps"],
)
def test_other_chains_stay(chain: list[tuple[str, str]], backwards: bool) -> None:
    kinds = kinds_after(steps(*chain, backwards=backwards), fold_scale_and_shift)
    assert sorted(kinds.elements()) == sorted(kind for kind, _ in chain)


def test_value_with_another_user_stays() -> None:
    proto = steps(("Mul", "one"), ("Add", "one"), ("Mul", "one"), ("Add", "one"))
    proto.graph.node[3].input[1] = "v0"
    assert kinds_after(proto, fold_scale_and_shift) == {"Mul": 2, "Add": 2}
