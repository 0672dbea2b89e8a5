"""An ONNX graph for lookups and changes in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray


class OnnxGraph:
    """The graph of a model: nodes, constants, producers and consumers of values, and known shapes.

    Changes go to a copy until `write_back`.
    """

    def __init__(self, proto: Any) -> None:
        from onnx import numpy_helper

        self._proto = proto
        self._shapes, self._float32 = _static_shapes(proto)
        self._outputs: list[str] = [output.name for output in proto.graph.output]
        self.nodes: list[Any] = [_copy(node) for node in proto.graph.node]
        """In topological order."""
        self.constants: dict[str, NDArray[Any]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer
        }
        """Values of the initialisers, by name."""

    def of_type(self, op_type: str) -> list[Any]:
        """Return all nodes of an operator, in order."""
        return [node for node in self.nodes if node.op_type == op_type]

    def shape(self, name: str) -> list[int | None]:
        """Return the shape of a value, None for the batch; empty if it is not known."""
        return self._shapes.get(name, [])

    def is_float32(self, name: str) -> bool:
        """Whether a value is known to be float32."""
        return name in self._float32

    def count_uses(self, name: str) -> int:
        """Count the node inputs and graph outputs that a value is used for."""
        everything = [*(each for node in self.nodes for each in node.input), *self._outputs]
        return everything.count(name)

    def sole_producer(self, name: str, *op_types: str) -> Any | None:
        """Return the node that produces a value, if it is of one of these types and the value is used only once."""
        producer = next((node for node in self.nodes if node.op_type in op_types and name in node.output), None)
        return producer if self.count_uses(name) == 1 else None

    def insert_before(self, node: Any, new: Any) -> None:
        """Insert a new node in front of one that uses its output."""
        at = next(index for index, each in enumerate(self.nodes) if each is node)
        self.nodes.insert(at, new)

    def remove(self, nodes: Iterable[Any]) -> None:
        """Remove nodes whose outputs are no longer used."""
        removed = {id(node) for node in nodes}
        self.nodes = [node for node in self.nodes if id(node) not in removed]

    def write_back(self) -> None:
        """Write the changes into the model, without whatever leads to no output."""
        from onnx import numpy_helper

        graph = self._proto.graph
        needed, kept = set(self._outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items() if name in needed]
        produced = {name for node in kept for name in node.output}
        shapes = [_copy(value) for value in graph.value_info if value.name in produced]
        for field, messages in ((graph.node, kept[::-1]), (graph.initializer, constants), (graph.value_info, shapes)):
            del field[:]
            field.extend(messages)


def set_inputs(node: Any, *names: str) -> None:
    """Replace the inputs of a node."""
    del node.input[:]
    node.input.extend(names)


def attributes(node: Any) -> dict[str, Any]:
    """Return the values of all attributes of a node, by name."""
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def attribute(node: Any, name: str, default: Any) -> Any:
    """Return the value of a node's attribute, or the default."""
    return attributes(node).get(name, default)


def _static_shapes(proto: Any) -> tuple[dict[str, list[int | None]], set[str]]:
    """Shapes of all values by name, and the names of those that are float32."""
    from onnx import TensorProto, shape_inference

    graph = shape_inference.infer_shapes(proto, data_prop=True).graph
    types = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.input, *graph.output)}
    shapes = {name: [_size(dim) for dim in type_.shape.dim] for name, type_ in types.items()}
    return shapes, {name for name, type_ in types.items() if type_.elem_type == TensorProto.FLOAT}


def _size(dim: Any) -> int | None:
    return int(dim.dim_value) if dim.HasField("dim_value") else None


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied
