"""An ONNX graph that can be looked up and changed in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray


class Graph:
    """An ONNX graph with its names looked up: constants, makers and users of values, and what shapes are known."""

    def __init__(self, proto: Any) -> None:
        from onnx import numpy_helper

        self._proto = proto
        self._shapes, self._single = _static_shapes(proto)
        self._outputs: list[str] = [output.name for output in proto.graph.output]
        self.nodes: list[Any] = [_copy(node) for node in proto.graph.node]
        """In an order in which they can be computed."""
        self.constants: dict[str, NDArray[Any]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer
        }

    def of_kind(self, kind: str) -> list[Any]:
        """All nodes of a kind, in order."""
        return [node for node in self.nodes if node.op_type == kind]

    def shape(self, name: str) -> list[int | None]:
        """Sizes of a value, None for the batch; empty where nothing is known."""
        return self._shapes.get(name, [])

    def is_single(self, name: str) -> bool:
        """Whether a value is known to be float32."""
        return name in self._single

    def uses(self, name: str) -> int:
        """How many inputs of nodes, and outputs of the graph, a value is."""
        everything = [*(each for node in self.nodes for each in node.input), *self._outputs]
        return everything.count(name)

    def made_by(self, name: str, *kinds: str) -> Any | None:
        """The node that makes a value, where it is of one of these kinds and nobody else uses that value."""
        maker = next((node for node in self.nodes if node.op_type in kinds and name in node.output), None)
        return maker if self.uses(name) == 1 else None

    def insert_before(self, node: Any, new: Any) -> None:
        """Put a node in front of one that needs it."""
        at = next(index for index, each in enumerate(self.nodes) if each is node)
        self.nodes.insert(at, new)

    def remove(self, nodes: Iterable[Any]) -> None:
        """Take nodes out that nothing needs any more."""
        gone = {id(node) for node in nodes}
        self.nodes = [node for node in self.nodes if id(node) not in gone]

    def write_back(self) -> None:
        """Into the model, without what leads to no output."""
        from onnx import numpy_helper

        graph = self._proto.graph
        wanted, kept = set(self._outputs), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items() if name in wanted]
        made = {name for node in kept for name in node.output}
        shapes = [_copy(value) for value in graph.value_info if value.name in made]
        for field, messages in ((graph.node, kept[::-1]), (graph.initializer, constants), (graph.value_info, shapes)):
            del field[:]
            field.extend(messages)


def set_inputs(node: Any, *names: str) -> None:
    """Give a node other inputs."""
    del node.input[:]
    node.input.extend(names)


def attributes(node: Any) -> dict[str, Any]:
    """Values of all attributes that a node has, by name."""
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def attribute(node: Any, name: str, default: Any) -> Any:
    """Value of a node's attribute, or the default."""
    return attributes(node).get(name, default)


def _static_shapes(proto: Any) -> tuple[dict[str, list[int | None]], set[str]]:
    """Sizes of all values by name, and the names of those that are float32."""
    from onnx import TensorProto, shape_inference

    graph = shape_inference.infer_shapes(proto, data_prop=True).graph
    types = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.input, *graph.output)}
    sizes = {name: [_size(dim) for dim in said.shape.dim] for name, said in types.items()}
    return sizes, {name for name, said in types.items() if said.elem_type == TensorProto.FLOAT}


def _size(dim: Any) -> int | None:
    return int(dim.dim_value) if dim.HasField("dim_value") else None


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied
