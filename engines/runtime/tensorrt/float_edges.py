"""Change the bundle's graph to float32 where TensorRT supports no integers: its input, and its 8-bit weights.

TensorRT has no unsigned 16-bit type at all, accepts unsigned 8 bits only at a network's edge, and treats 8-bit weights
as quantised. In the bundle's graph each of these goes through a Cast to float32 before anything is computed. So the
graph computes the same if they are float32 from the start and the Cast does nothing. The device has no `onnx` package:
this code walks the protobuf wire format, with the field numbers of `onnx.proto`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from engines.bundles import OnnxFormatError, raw_fields
from engines.errors import EngineError

# onnx.proto: ModelProto.graph; GraphProto.initializer, .input and .value_info; TensorProto.data_type and .raw_data;
# ValueInfoProto.type, TypeProto.tensor_type, TypeProto.Tensor.elem_type; TensorProto.DataType.
_GRAPH, _INITIALIZER, _INPUT, _VALUE_INFO = 7, 5, 11, 13
_DATA_TYPE, _RAW_DATA = 2, 9
_TYPE, _TENSOR_TYPE, _ELEM_TYPE = 2, 1, 1
_FLOAT, _UINT8, _INT8, _UINT16 = 1, 2, 3, 4

_Edit = Callable[[memoryview], bytes]


def with_float_edges(model: bytes) -> bytes:
    """The same ONNX model with float32 inputs and float32 instead of 8-bit weights; EngineError if it is not ONNX."""
    graph = {_INITIALIZER: _float_weights, _INPUT: _float_value, _VALUE_INFO: _float_value}
    try:
        return _edited(memoryview(model), {_GRAPH: lambda message: _edited(message, graph)})
    except OnnxFormatError as error:
        raise EngineError(f"the model is not ONNX ({error})") from None


def _edited(message: memoryview, edits: Mapping[int, _Edit]) -> bytes:
    """A message with some of its submessages replaced and all else unchanged, byte for byte."""
    parts: list[bytes | memoryview] = []
    for number, value, raw in raw_fields(message):
        edit = edits.get(number)
        parts.append(raw if edit is None or isinstance(value, int) else _bytes_field(number, edit(value)))
    return b"".join(parts)


def _float_value(value_info: memoryview) -> bytes:
    """A ValueInfoProto with float32 for an integer type: of the input, and of the transposed frames before the Cast."""

    def tensor(message: memoryview) -> bytes:
        kinds = [value for number, value, _ in raw_fields(message) if number == _ELEM_TYPE]
        if not {_UINT8, _INT8, _UINT16}.intersection(kinds):
            return bytes(message)
        others = [raw for number, _, raw in raw_fields(message) if number != _ELEM_TYPE]
        return b"".join([_integer_field(_ELEM_TYPE, _FLOAT), *others])

    return _edited(value_info, {_TYPE: lambda message: _edited(message, {_TENSOR_TYPE: tensor})})


def _float_weights(tensor: memoryview) -> bytes:
    fields = {number: value for number, value, _ in raw_fields(tensor)}
    if fields.get(_DATA_TYPE) != _INT8:
        return bytes(tensor)
    values = fields.get(_RAW_DATA)
    if values is None or isinstance(values, int):
        raise OnnxFormatError("8-bit weights that are not stored as raw bytes")
    floats = np.frombuffer(values, np.int8).astype("<f4").tobytes()
    others = [raw for number, _, raw in raw_fields(tensor) if number not in (_DATA_TYPE, _RAW_DATA)]
    return b"".join([*others, _integer_field(_DATA_TYPE, _FLOAT), _bytes_field(_RAW_DATA, floats)])


def _integer_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Base 128, least significant group first.

    >>> _varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
