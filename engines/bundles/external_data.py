"""Find out whether an ONNX file reads weights from other files, without the `onnx` package, which devices do not have.

An ONNX tensor can name a file with its values (`TensorProto.external_data`), and a runtime opens that path, whatever it
is. A model from outside must not choose which files of the device are opened, so a bundle's graphs must contain all
their weights. The scan walks the protobuf wire format along the fields that can hold a tensor, with the field numbers
of `onnx.proto`.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# onnx.proto: message -> {field number: message type of that field}; only the fields that lead to a tensor.
_FIELDS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
}
# TensorProto: external_data is a list of key/value pairs; data_location 1 is EXTERNAL.
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14

# Subgraphs nest (If, Loop). Real models stay far below this limit; a hostile one must not exhaust the stack.
_MAX_DEPTH = 64


class OnnxFormatError(ValueError):
    """The bytes are not an ONNX model."""


def external_data(model: bytes) -> str | None:
    """The file of the first tensor with external values; None if the model contains all its values.

    Raises OnnxFormatError if the bytes are no protobuf message or contain no graph.
    """
    graphs = [value for number, value in _fields(memoryview(model)) if number == 7]
    if not graphs:
        raise OnnxFormatError("it contains no graph")
    return _search(memoryview(model), "Model", 0)


def _search(message: memoryview, kind: str, depth: int) -> str | None:
    if depth > _MAX_DEPTH:
        raise OnnxFormatError(f"nested deeper than {_MAX_DEPTH} levels")
    if kind == "Tensor":
        return _external_location(message)
    inner_kinds = _FIELDS[kind]
    for number, value in _fields(message):
        inner = inner_kinds.get(number)
        if inner is None or isinstance(value, int):
            continue
        found = _search(value, inner, depth + 1)
        if found is not None:
            return found
    return None


def _external_location(tensor: memoryview) -> str | None:
    location: str | None = None
    for number, value in _fields(tensor):
        if number == _DATA_LOCATION and value == 1 and location is None:
            location = "?"
        if number == _EXTERNAL_DATA and not isinstance(value, int):
            location = _entry_value(value) if location in (None, "?") else location
    return location


def _entry_value(entry: memoryview) -> str:
    """Value of a StringStringEntryProto; the first one of a tensor is its `location`."""
    values = [bytes(value) for number, value in _fields(entry) if number == 2 and not isinstance(value, int)]
    return values[0].decode(errors="replace") if values else "?"


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield (field number, value) of a protobuf message; raises OnnxFormatError if it is truncated."""
    for number, value, _ in raw_fields(message):
        yield number, value


def raw_fields(message: memoryview) -> Iterator[tuple[int, memoryview | int, memoryview]]:
    """Yield (field number, value, encoded field) of a protobuf message; raises OnnxFormatError if it is truncated."""
    position = 0
    while position < len(message):
        start = position
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield number, value, message[start:position]
            continue
        if wire == _BYTES:
            size, position = _varint(message, position)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise OnnxFormatError(f"wire type {wire} at byte {position}")
        if position + size > len(message):
            raise OnnxFormatError("it ends too early")
        yield number, message[position : position + size], message[start : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise OnnxFormatError("it ends too early")
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise OnnxFormatError(f"a number longer than 64 bits at byte {position}")
