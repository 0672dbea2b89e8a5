"""Payloads of Sparkplug B by the library protobuf, from the fields of Eclipse Tahu's sparkplug_b.proto."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KINDS = descriptor_pb2.FieldDescriptorProto

# Field numbers and types as in the published file; those that nobody uses here are left out.
_METRIC = {
    "name": (1, _KINDS.TYPE_STRING),
    "alias": (2, _KINDS.TYPE_UINT64),
    "timestamp": (3, _KINDS.TYPE_UINT64),
    "datatype": (4, _KINDS.TYPE_UINT32),
    "is_null": (7, _KINDS.TYPE_BOOL),
    "int_value": (10, _KINDS.TYPE_UINT32),
    "long_value": (11, _KINDS.TYPE_UINT64),
    "float_value": (12, _KINDS.TYPE_FLOAT),
    "double_value": (13, _KINDS.TYPE_DOUBLE),
    "boolean_value": (14, _KINDS.TYPE_BOOL),
    "string_value": (15, _KINDS.TYPE_STRING),
}


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="tahu", syntax="proto2")
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    for name, (number, kind) in _METRIC.items():
        metric.field.add(name=name, number=number, type=kind, label=_KINDS.LABEL_OPTIONAL)
    payload.field.add(name="timestamp", number=1, type=_KINDS.TYPE_UINT64, label=_KINDS.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics",
        number=2,
        type=_KINDS.TYPE_MESSAGE,
        type_name=".tahu.Payload.Metric",
        label=_KINDS.LABEL_REPEATED,
    )
    payload.field.add(name="seq", number=3, type=_KINDS.TYPE_UINT64, label=_KINDS.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tahu.Payload"))


Payload = _payload_class()


def read(data: bytes) -> Any:
    """A payload; raises where the bytes are none."""
    return Payload.FromString(data)


def values(payload: Any, names: dict[int, str] | None = None) -> dict[str, Any]:
    """The values by name; `names` has those of aliases."""
    found = {}
    for metric in payload.metrics:
        name = metric.name or (names or {})[metric.alias]
        set_fields = [field.name for field, _ in metric.ListFields() if field.name.endswith("_value")]
        found[name] = getattr(metric, set_fields[0]) if set_fields else None
    return found


def rebirth(value: bool = True) -> bytes:
    """The command of a host application."""
    payload = Payload(timestamp=1)
    payload.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=value)
    return bytes(payload.SerializeToString())
