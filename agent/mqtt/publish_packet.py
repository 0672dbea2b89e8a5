"""Reads a received PUBLISH, whatever its sender wrote into it.

paho ends the connection over U+FEFF in a property (which Mosquitto passes on), unpacks every user property, and checks
each of their characters. A message at QoS 1 that ends a connection is in the session, and ends the next one too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from agent.mqtt.packets import Received

# The properties of PUBLISH (MQTT 5, 3.3.2.3) by identifier: how long each is. "text" and "data" begin with their length
# in two bytes, "pair" is two texts, "varying" has seven bits per byte.
_BYTES = {0x01: 1, 0x02: 4, 0x23: 2}
_COUNTED = {0x03: 1, 0x08: 1, 0x09: 1, 0x26: 2}
_SUBSCRIPTION_IDENTIFIER = 0x0B

_EXPIRY, _RESPONSE_TOPIC, _CORRELATION_DATA = 0x02, 0x08, 0x09


class Malformed(ValueError):
    """The packet is no PUBLISH."""


class ReadPublish(NamedTuple):
    """A PUBLISH."""

    mid: int
    """Packet id, for PUBACK; 0 at QoS 0."""
    message: Received | None
    """None: its properties cannot be read."""


def read_publish(command: int, packet: bytes, *, properties: bool) -> ReadPublish:
    """Read a packet without its fixed header; `command` is the first byte of that.

    `properties`: MQTT 5. Raises `Malformed` if there is no packet id to acknowledge.
    """
    qos = command >> 1 & 3
    topic, position = _counted(packet, 0)
    mid = 0
    if qos:
        mid, position = _number(packet, position, 2)
    found: dict[int, Any] = {}
    if properties:
        try:
            found, position = _properties(packet, position)
        except Malformed:
            return ReadPublish(mid, None)
    response_topic = found.get(_RESPONSE_TOPIC)
    return ReadPublish(
        mid,
        Received(
            topic=topic.decode(errors="replace"),
            payload=packet[position:],
            qos=qos,
            retained=bool(command & 1),
            response_topic=None if response_topic is None else response_topic.decode(errors="replace"),
            correlation_data=found.get(_CORRELATION_DATA),
            expiry_seconds=found.get(_EXPIRY),
        ),
    )


def _properties(packet: bytes, position: int) -> tuple[dict[int, Any], int]:
    """The properties that are of use, by identifier, and where the payload begins."""
    length, position = _varying(packet, position)
    end = position + length
    if end > len(packet):
        raise Malformed
    found: dict[int, Any] = {}
    while position < end:
        identifier = packet[position]
        position += 1
        if identifier in _BYTES:
            found[identifier], position = _number(packet, position, _BYTES[identifier])
        elif identifier == _SUBSCRIPTION_IDENTIFIER:
            _, position = _varying(packet, position)
        elif identifier in _COUNTED:
            for _ in range(_COUNTED[identifier]):
                found[identifier], position = _counted(packet, position)
        else:
            raise Malformed
    if position != end:
        raise Malformed
    return found, end


def _number(packet: bytes, position: int, size: int) -> tuple[int, int]:
    end = position + size
    if end > len(packet):
        raise Malformed
    return int.from_bytes(packet[position:end], "big"), end


def _counted(packet: bytes, position: int) -> tuple[bytes, int]:
    length, position = _number(packet, position, 2)
    end = position + length
    if end > len(packet):
        raise Malformed
    return packet[position:end], end


def _varying(packet: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in (0, 7, 14, 21):
        byte, position = _number(packet, position, 1)
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise Malformed
