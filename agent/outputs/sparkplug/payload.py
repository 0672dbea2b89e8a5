"""Payloads of Sparkplug B, in the encoding of Protocol Buffers (Eclipse Tahu, sparkplug_b.proto).

Twelve fields of scalar types are used; the tests hold them against the library protobuf.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

Value = bool | int | float | str | None


class DataType(IntEnum):
    """Types of metrics that are used here, by their numbers in the specification, section 6.4.16."""

    INT64 = 4
    UINT64 = 8
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13


@dataclass(frozen=True, slots=True)
class Metric:
    """One value. In births it has name, alias and type; in data, the alias alone."""

    kind: DataType
    value: Value
    name: str | None = None
    alias: int | None = None


def encode(timestamp_ms: int, metrics: Sequence[Metric], seq: int | None) -> bytes:
    """A payload; `seq` is None in a death certificate.

    >>> encode(1, [Metric(DataType.BOOLEAN, True, name="a")], 0).hex()
    '080112090a01611801200b70011800'
    """
    parts = [_number(1, timestamp_ms), *(_bytes(2, _metric(each, timestamp_ms)) for each in metrics)]
    return b"".join(parts if seq is None else [*parts, _number(3, seq)])


def _metric(metric: Metric, timestamp_ms: int) -> bytes:
    name = b"" if metric.name is None else _bytes(1, metric.name.encode())
    alias = b"" if metric.alias is None else _number(2, metric.alias)
    head = name + alias + _number(3, timestamp_ms) + _number(4, metric.kind)
    value = metric.value
    if value is None:
        return head + _number(7, 1)
    if metric.kind is DataType.DOUBLE:
        return head + _tag(13, 1) + struct.pack("<d", value)
    if metric.kind is DataType.BOOLEAN:
        return head + _number(14, int(bool(value)))
    if metric.kind is DataType.STRING:
        return head + _bytes(15, str(value).encode())
    return head + _number(11, int(value))


def asks_for_rebirth(payload: bytes) -> bool:
    """Whether a command sets `Node Control/Rebirth`. Raises ValueError for bytes that are no payload."""
    for field, value in _fields(payload):
        if field == 2 and isinstance(value, bytes):
            metric = dict(_fields(value))
            if metric.get(1) == b"Node Control/Rebirth" and metric.get(14) == 1:
                return True
    return False


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields with their numbers. Raises ValueError where the data end inside one, or are none."""
    place = 0
    while place < len(data):
        tag, place = _read_number(data, place)
        kind = tag & 7
        if kind == 0:
            value, place = _read_number(data, place)
            yield tag >> 3, value
            continue
        length = {1: 8, 5: 4}.get(kind)
        if length is None and kind == 2:
            length, place = _read_number(data, place)
        if length is None or place + length > len(data):
            raise ValueError("not a payload of Sparkplug B")
        yield tag >> 3, data[place : place + length]
        place += length


def _read_number(data: bytes, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            break
        byte, place = data[place], place + 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("not a payload of Sparkplug B")


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _number(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
