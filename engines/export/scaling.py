"""What is done to maps by constants, a product here and a sum there: once, or by a layer's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.export.graph import Graph, set_inputs

Values = NDArray[np.float64]

# What each kind of node does with a constant: (scale, shift).
_KINDS: dict[str, Callable[[Values], tuple[Values, Values]]] = {
    "Mul": lambda constant: (constant, np.zeros_like(constant)),
    "Div": lambda constant: (1.0 / constant, np.zeros_like(constant)),
    "Add": lambda constant: (np.ones_like(constant), constant),
    "Sub": lambda constant: (np.ones_like(constant), -constant),
}


class _Step(NamedTuple):
    """scale · maps + shift, of maps [N, C, h, w] by values [1 or C, 1, 1]."""

    maps: str
    scale: Values
    shift: Values


def scale_and_shift_once(graph: Graph) -> None:
    """Products and sums with constants in a row → the weights of the convolution in front of them.

    Where there is none: one product and one sum, if these are fewer.
    """
    joined: set[str] = set()
    for last in graph.nodes[::-1]:
        chain = [] if last.output[0] in joined else _chain(graph, last)
        joined.update(node.output[0] for node, _ in chain)
        if chain:
            _join(graph, [node for node, _ in chain], _joined([step for _, step in chain]))


def _chain(graph: Graph, last: Any) -> list[tuple[Any, _Step]]:
    """The nodes up to this one, first to last, each of which is all that is done with what the one before it gives."""
    chain: list[tuple[Any, _Step]] = []
    node = last
    while node is not None and (step := _step(graph, node)) is not None:
        chain.insert(0, (node, step))
        node = graph.made_by(step.maps, *_KINDS)
    return chain


def _step(graph: Graph, node: Any) -> _Step | None:
    """What a node does, where it is one that scales or shifts float32 maps by one value, or one a channel."""
    if node.op_type not in _KINDS or len(set(node.input)) != 2:
        return None
    maps, name = node.input if node.input[1] in graph.constants else node.input[::-1]
    constant = graph.constants.get(name)
    if constant is None or len(graph.shape(maps)) != 4 or not graph.is_single(maps):
        return None
    turned = maps != node.input[0] and node.op_type in ("Sub", "Div")
    if turned or constant.size != (constant.shape[-3] if constant.ndim > 2 else 1):
        return None
    return _Step(maps, *_KINDS[node.op_type](constant.astype(np.float64).reshape(-1, 1, 1)))


def _joined(steps: list[_Step]) -> _Step:
    maps, scale, shift = steps[0]
    for step in steps[1:]:
        scale, shift = step.scale * scale, step.scale * shift + step.shift
    return _Step(maps, scale, shift)


def _join(graph: Graph, chain: list[Any], step: _Step) -> None:
    layer = graph.made_by(step.maps, "Conv")
    if layer is not None and _can_absorb(graph, layer, step):
        _absorb(graph, layer, step)
        layer.output[0] = chain[-1].output[0]
        graph.remove(chain)
    elif len(chain) > 2:
        _replace(graph, chain, step)


def _can_absorb(graph: Graph, layer: Any, step: _Step) -> bool:
    """Whether a convolution's weights are known, and as many as the channels of what is done after it."""
    known = all(name in graph.constants for name in layer.input[1:])
    return known and {step.scale.size, step.shift.size} <= {1, len(graph.constants[layer.input[1]])}


def _absorb(graph: Graph, layer: Any, step: _Step) -> None:
    maps, *names = layer.input
    weights, *offsets = (graph.constants[name] for name in names)
    name, total = layer.output[0], sum(offsets) * step.scale.ravel() + step.shift.ravel()
    graph.constants[f"{name}.weights"] = (weights * step.scale[..., None]).astype(np.float32)
    graph.constants[f"{name}.offsets"] = np.broadcast_to(total, len(weights)).astype(np.float32)
    set_inputs(layer, maps, f"{name}.weights", f"{name}.offsets")


def _replace(graph: Graph, chain: list[Any], step: _Step) -> None:
    """One product and one sum in place of three nodes or more."""
    from onnx import helper

    *rest, product, last = chain
    name = last.output[0]
    graph.constants[f"{name}.scale"] = step.scale.astype(np.float32)
    graph.constants[f"{name}.shift"] = step.shift.astype(np.float32)
    product.CopyFrom(helper.make_node("Mul", [step.maps, f"{name}.scale"], [f"{name}.scaled"], product.name))
    last.CopyFrom(helper.make_node("Add", [f"{name}.scaled", f"{name}.shift"], [name], last.name))
    graph.remove(rest)
