"""Rewrites of the exported graph into fewer and cheaper nodes; its results stay the same, to the rounding of float32.

The exporter writes one node for each operation of the module. Each rule replaces a pattern that costs the engines more
than necessary, and leaves the graph unchanged where a condition is not certain to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from engines.export.constant_folding import fold_scale_and_shift
from engines.export.graph import OnnxGraph, attribute, set_inputs
from engines.export.space_to_depth import keep_image_in_blocks

RewriteRule = Callable[[OnnxGraph], None]

# Coordinate modes of Resize in which a whole-numbered factor gives the same result as the sizes.
_SAME_BY_FACTOR = ("asymmetric", "half_pixel")


def rewrite(proto: Any, rules: Iterable[RewriteRule]) -> None:
    """Apply rules to an ONNX model in place, one after the other."""
    graph = OnnxGraph(proto)
    for rule in rules:
        rule(graph)
    graph.write_back()


def resize_by_factors(graph: OnnxGraph) -> None:
    """Resize by computed sizes → Resize by whole-numbered constant factors; ×1 → Identity.

    ONNX Runtime keeps its blocked layout across a Resize by constant factors only. Output sizes are then also known
    without evaluating the graph's arithmetic on shapes, which TensorRT's check of a plan needs.
    """
    from onnx import helper

    for node in graph.of_type("Resize"):
        factors = _factors(graph, node)
        if factors == (1, 1):
            node.CopyFrom(helper.make_node("Identity", [node.input[0]], list(node.output), node.name))
        elif factors is not None:
            scales = f"{node.output[0]}.scales"
            graph.constants[scales] = np.array([1, 1, *factors], np.float32)
            set_inputs(node, node.input[0], "", scales)


def _factors(graph: OnnxGraph, node: Any) -> tuple[int, int] | None:
    """Factors by which a Resize enlarges height and width, if both are known and whole numbers; else None."""
    before, after = graph.shape(node.input[0])[2:], graph.shape(node.output[0])[2:]
    sized = len(node.input) == 4 and attribute(node, "coordinate_transformation_mode", b"").decode() in _SAME_BY_FACTOR
    if not sized or len(before) != 2 or len(after) != 2:
        return None
    factors = [new // old if old and new and new % old == 0 else 0 for old, new in zip(before, after, strict=True)]
    return (factors[0], factors[1]) if all(factors) else None


def add_constants_first(graph: OnnxGraph) -> None:
    """(x + a) + b → x + (a + b) with constants a and b; engines compute their sum once, when they load the graph."""
    for node in graph.of_type("Add"):
        outer = next((name for name in node.input if name in graph.constants), None)
        inner = next((name for name in node.input if name not in graph.constants), None)
        first = None if outer is None or inner is None else graph.sole_producer(inner, "Add")
        if first is None:
            continue
        constant = next((name for name in first.input if name in graph.constants), None)
        rest = next((name for name in first.input if name not in graph.constants), None)
        if constant is not None and rest is not None:
            _add_constants_first(graph, node, rest, (constant, str(outer)))


def _add_constants_first(graph: OnnxGraph, node: Any, value: str, constants: tuple[str, str]) -> None:
    from onnx import helper

    total = f"{node.output[0]}.constant"
    set_inputs(node, value, total)
    graph.insert_before(node, helper.make_node("Add", constants, [total], total))


def subtract_by_weights(graph: OnnxGraph) -> None:
    """a(x) − b(y) → a(x) + b'(y) for two convolutions, b' with negated weights.

    ONNX Runtime fuses the sum of two convolutions into one of them, but not their difference.
    """
    for node in graph.of_type("Sub"):
        minuend, subtrahend = (graph.sole_producer(name, "Conv") for name in node.input)
        if minuend is None or subtrahend is None or not all(name in graph.constants for name in subtrahend.input[1:]):
            continue
        maps, *weights = subtrahend.input
        for name in weights:
            graph.constants[f"{name}.negative"] = -graph.constants[name]
        set_inputs(subtrahend, maps, *(f"{name}.negative" for name in weights))
        node.op_type = "Add"


def sum_channels_by_weights(graph: OnnxGraph) -> None:
    """Sum over the channels → convolution with ones, which is fast in every memory layout that an engine uses."""
    from onnx import helper

    for node in graph.of_type("ReduceSum"):
        shape = graph.shape(node.input[0])
        axes = graph.constants.get(node.input[1]) if len(node.input) > 1 else None
        convertible = attribute(node, "keepdims", 1) == 1 and graph.is_float32(node.input[0])
        if len(shape) != 4 or shape[1] is None or axes is None or axes.tolist() != [1] or not convertible:
            continue
        ones = f"{node.output[0]}.ones"
        graph.constants[ones] = np.ones((1, shape[1], 1, 1), np.float32)
        inputs = [node.input[0], ones]
        node.CopyFrom(helper.make_node("Conv", inputs, list(node.output), node.name, kernel_shape=[1, 1]))


FP32_RULES: tuple[RewriteRule, ...] = (
    resize_by_factors,
    add_constants_first,
    subtract_by_weights,
    sum_channels_by_weights,
    fold_scale_and_shift,
    keep_image_in_blocks,
)
"""Rules for the FP32 graph."""

FP16_RULES: tuple[RewriteRule, ...] = (resize_by_factors,)
"""Rules for the FP16-typed graph; TensorRT optimises the rest itself."""
