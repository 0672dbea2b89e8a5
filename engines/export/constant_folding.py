"""Rewrite rule: products and sums with constants are folded into a layer's weights, or into one product and one sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.export.graph import OnnxGraph, set_inputs

_Coefficients = NDArray[np.float64]

# The effect of an operator with a constant: (scale, shift).
_AFFINE_OPERATORS: dict[str, Callable[[_Coefficients], tuple[_Coefficients, _Coefficients]]] = {
    "Mul": lambda constant: (constant, np.zeros_like(constant)),
    "Div": lambda constant: (1.0 / constant, np.zeros_like(constant)),
    "Add": lambda constant: (np.ones_like(constant), constant),
    "Sub": lambda constant: (np.ones_like(constant), -constant),
}


class _Affine(NamedTuple):
    """scale · maps + shift, of maps [N, C, h, w] with coefficients [1 or C, 1, 1]."""

    maps: str
    scale: _Coefficients
    shift: _Coefficients


def fold_scale_and_shift(graph: OnnxGraph) -> None:
    """Fold a chain of products and sums with constants into the weights of the convolution in front of it.

    Without a convolution the chain becomes one product and one sum, if that is shorter.
    """
    done: set[str] = set()
    for last in graph.nodes[::-1]:
        chain = [] if last.output[0] in done else _chain(graph, last)
        done.update(node.output[0] for node, _ in chain)
        if chain:
            _fold(graph, [node for node, _ in chain], _composed([affine for _, affine in chain]))


def _chain(graph: OnnxGraph, last: Any) -> list[tuple[Any, _Affine]]:
    """The chain of affine nodes that ends with this one, first to last; each is the only user of the one before."""
    chain: list[tuple[Any, _Affine]] = []
    node = last
    while node is not None and (affine := _affine(graph, node)) is not None:
        chain.insert(0, (node, affine))
        node = graph.sole_producer(affine.maps, *_AFFINE_OPERATORS)
    return chain


def _affine(graph: OnnxGraph, node: Any) -> _Affine | None:
    """What a node computes, if it scales or shifts float32 maps by one value, or by one per channel; else None."""
    if node.op_type not in _AFFINE_OPERATORS or len(set(node.input)) != 2:
        return None
    maps, name = node.input if node.input[1] in graph.constants else node.input[::-1]
    constant = graph.constants.get(name)
    if constant is None or len(graph.shape(maps)) != 4 or not graph.is_float32(maps):
        return None
    reversed_ = maps != node.input[0] and node.op_type in ("Sub", "Div")
    if reversed_ or constant.size != (constant.shape[-3] if constant.ndim > 2 else 1):
        return None
    return _Affine(maps, *_AFFINE_OPERATORS[node.op_type](constant.astype(np.float64).reshape(-1, 1, 1)))


def _composed(chain: list[_Affine]) -> _Affine:
    maps, scale, shift = chain[0]
    for affine in chain[1:]:
        scale, shift = affine.scale * scale, affine.scale * shift + affine.shift
    return _Affine(maps, scale, shift)


def _fold(graph: OnnxGraph, chain: list[Any], affine: _Affine) -> None:
    layer = graph.sole_producer(affine.maps, "Conv")
    if layer is not None and _can_absorb(graph, layer, affine):
        _absorb(graph, layer, affine)
        layer.output[0] = chain[-1].output[0]
        graph.remove(chain)
    elif len(chain) > 2:
        _replace(graph, chain, affine)


def _can_absorb(graph: OnnxGraph, layer: Any, affine: _Affine) -> bool:
    """Whether a convolution's weights are constant, and it has as many output channels as there are coefficients."""
    known = all(name in graph.constants for name in layer.input[1:])
    return known and {affine.scale.size, affine.shift.size} <= {1, len(graph.constants[layer.input[1]])}


def _absorb(graph: OnnxGraph, layer: Any, affine: _Affine) -> None:
    maps, *names = layer.input
    weights, *bias = (graph.constants[name] for name in names)
    name, total = layer.output[0], sum(bias) * affine.scale.ravel() + affine.shift.ravel()
    graph.constants[f"{name}.weights"] = (weights * affine.scale[..., None]).astype(np.float32)
    graph.constants[f"{name}.offsets"] = np.broadcast_to(total, len(weights)).astype(np.float32)
    set_inputs(layer, maps, f"{name}.weights", f"{name}.offsets")


def _replace(graph: OnnxGraph, chain: list[Any], affine: _Affine) -> None:
    """Replace a chain of three nodes or more by one product and one sum."""
    from onnx import helper

    *rest, product, last = chain
    name = last.output[0]
    graph.constants[f"{name}.scale"] = affine.scale.astype(np.float32)
    graph.constants[f"{name}.shift"] = affine.shift.astype(np.float32)
    product.CopyFrom(helper.make_node("Mul", [affine.maps, f"{name}.scale"], [f"{name}.scaled"], product.name))
    last.CopyFrom(helper.make_node("Add", [f"{name}.scaled", f"{name}.shift"], [name], last.name))
    graph.remove(rest)
