"""The exported graph in fewer and cheaper steps. What it says stays the same, to the rounding of float32.

Exporters write down what the module does, one step at a time. Each rule here takes a pattern that costs the engines
more than it has to, and leaves alone whatever it does not know for certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from engines.export.blocks import draw_in_blocks
from engines.export.graph import Graph, attribute, set_inputs
from engines.export.scaling import scale_and_shift_once

Rule = Callable[[Graph], None]

# Ways of Resize to place new pixels that say the same by a factor as by a size, where the factor is a whole number.
_SAME_BY_FACTOR = ("asymmetric", "half_pixel")


def rewrite(proto: Any, rules: Iterable[Rule]) -> None:
    """Apply rules to a model, one after the other, in place."""
    graph = Graph(proto)
    for rule in rules:
        rule(graph)
    graph.write_back()


def resize_by_factors(graph: Graph) -> None:
    """Sizes that were worked out from other sizes → whole-numbered factors; ×1 does nothing.

    ONNX Runtime keeps its blocked layout across a Resize by constant factors only, and whoever is to know the size of
    what comes out, as TensorRT's check of a plan is, need not follow what is computed with sizes.
    """
    from onnx import helper

    for node in graph.of_kind("Resize"):
        factors = _factors(graph, node)
        if factors == (1, 1):
            node.CopyFrom(helper.make_node("Identity", [node.input[0]], list(node.output), node.name))
        elif factors is not None:
            scales = f"{node.output[0]}.scales"
            graph.constants[scales] = np.array([1, 1, *factors], np.float32)
            set_inputs(node, node.input[0], "", scales)


def _factors(graph: Graph, node: Any) -> tuple[int, int] | None:
    """By how much a Resize enlarges height and width, where both are known and whole numbers."""
    before, after = graph.shape(node.input[0])[2:], graph.shape(node.output[0])[2:]
    sized = len(node.input) == 4 and attribute(node, "coordinate_transformation_mode", b"").decode() in _SAME_BY_FACTOR
    if not sized or len(before) != 2 or len(after) != 2:
        return None
    factors = [new // old if old and new and new % old == 0 else 0 for old, new in zip(before, after, strict=True)]
    return (factors[0], factors[1]) if all(factors) else None


def add_constants_once(graph: Graph) -> None:
    """(x + a) + b → x + (a + b) with constants a and b, whose sum engines form once, when they load the graph."""
    for node in graph.of_kind("Add"):
        outer = next((name for name in node.input if name in graph.constants), None)
        inner = next((name for name in node.input if name not in graph.constants), None)
        first = None if outer is None or inner is None else graph.made_by(inner, "Add")
        if first is None:
            continue
        constant = next((name for name in first.input if name in graph.constants), None)
        rest = next((name for name in first.input if name not in graph.constants), None)
        if constant is not None and rest is not None:
            _add_once(graph, node, rest, (constant, str(outer)))


def _add_once(graph: Graph, node: Any, value: str, constants: tuple[str, str]) -> None:
    from onnx import helper

    total = f"{node.output[0]}.constant"
    set_inputs(node, value, total)
    graph.insert_before(node, helper.make_node("Add", constants, [total], total))


def subtract_by_weights(graph: Graph) -> None:
    """a(x) − b(y) → a(x) + b'(y) of two convolutions, b' with weights of the other sign.

    Sums of convolutions need no step of their own in ONNX Runtime, differences do.
    """
    for node in graph.of_kind("Sub"):
        kept, subtracted = (graph.made_by(name, "Conv") for name in node.input)
        if kept is None or subtracted is None or not all(name in graph.constants for name in subtracted.input[1:]):
            continue
        maps, *weights = subtracted.input
        for name in weights:
            graph.constants[f"{name}.negative"] = -graph.constants[name]
        set_inputs(subtracted, maps, *(f"{name}.negative" for name in weights))
        node.op_type = "Add"


def sum_channels_by_weights(graph: Graph) -> None:
    """Sum over the channels → a convolution with ones, which engines do well in whatever layout the maps are in."""
    from onnx import helper

    for node in graph.of_kind("ReduceSum"):
        shape = graph.shape(node.input[0])
        axes = graph.constants.get(node.input[1]) if len(node.input) > 1 else None
        kept = attribute(node, "keepdims", 1) == 1 and graph.is_single(node.input[0])
        if len(shape) != 4 or shape[1] is None or axes is None or axes.tolist() != [1] or not kept:
            continue
        ones = f"{node.output[0]}.ones"
        graph.constants[ones] = np.ones((1, shape[1], 1, 1), np.float32)
        inputs = [node.input[0], ones]
        node.CopyFrom(helper.make_node("Conv", inputs, list(node.output), node.name, kernel_shape=[1, 1]))


RULES: tuple[Rule, ...] = (
    resize_by_factors,
    add_constants_once,
    subtract_by_weights,
    sum_channels_by_weights,
    scale_and_shift_once,
    draw_in_blocks,
)
"""For the FP32 graph."""

RULES_OF_HALF: tuple[Rule, ...] = (resize_by_factors,)
"""For the FP16-typed one, which TensorRT rewrites as it likes."""
