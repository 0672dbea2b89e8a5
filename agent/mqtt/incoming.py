"""The packets that a broker sends, and how they are taken apart. Raises `Malformed`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from agent.mqtt.fields import Fields, Malformed
from agent.mqtt.reasons import connack_code, reason_text
from agent.packets import Acknowledged, Connected, Received

# MQTT 5, 3.2.2.3.3: what a broker that names no Receive Maximum takes.
DEFAULT_RECEIVE_MAXIMUM = 65_535

# Identifiers of properties (MQTT 5, 2.2.2.2).
_EXPIRY, _RESPONSE_TOPIC, _CORRELATION = 0x02, 0x08, 0x09
_SERVER_KEEPALIVE, _RECEIVE_MAXIMUM, _RETAIN_AVAILABLE, _MAXIMUM_PACKET = 0x13, 0x21, 0x25, 0x27


class Kind(IntEnum):
    """The upper half of a packet's first byte."""

    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBACK = 9
    PINGRESP = 13
    DISCONNECT = 14


class Inbox:
    """Makes packets of the bytes that come, in whatever pieces they come.

    >>> inbox = Inbox()
    >>> inbox.put(bytes.fromhex("d000" "4002")); list(inbox.packets())
    [(208, b'')]
    >>> inbox.put(bytes.fromhex("0007")); list(inbox.packets())
    [(64, b'\\x00\\x07')]
    """

    def __init__(self) -> None:
        self._bytes = bytearray()

    def put(self, data: bytes) -> None:
        self._bytes += data

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """First byte and body of each that is complete."""
        begin = 0
        try:
            while (found := self._extent(begin)) is not None:
                body, end = found
                yield self._bytes[begin], bytes(memoryview(self._bytes)[body:end])
                begin = end
        finally:
            del self._bytes[:begin]

    def _extent(self, begin: int) -> tuple[int, int] | None:
        """Where the body of the packet at `begin` begins and ends; None where it is not complete."""
        length = 0
        for position in range(4):
            at = begin + 1 + position
            if at >= len(self._bytes):
                return None
            length |= (self._bytes[at] & 0x7F) << 7 * position
            if self._bytes[at] < 0x80:
                end = at + 1 + length
                return (at + 1, end) if end <= len(self._bytes) else None
        raise Malformed("a packet whose length has more than four bytes")


@dataclass(frozen=True, slots=True)
class Answer:
    """CONNACK: 0, or the code of the refusal, as MQTT 5 has it."""

    code: int
    connected: Connected
    keepalive_seconds: int | None
    """What the broker wants instead of what was asked for."""


def read_connack(body: bytes) -> Answer:
    """One of MQTT 3.1.1, or of a broker that knows nothing newer, has no properties."""
    fields = Fields(body)
    session_present, code = fields.number(1) & 1, fields.number(1)
    properties = fields.properties() if fields.left else {}
    limit, keepalive = properties.get(_MAXIMUM_PACKET), properties.get(_SERVER_KEEPALIVE)
    connected = Connected(
        session_present=bool(session_present),
        receive_maximum=int(properties.get(_RECEIVE_MAXIMUM, DEFAULT_RECEIVE_MAXIMUM)),
        maximum_packet_bytes=None if limit is None else int(limit),
        retain_available=bool(properties.get(_RETAIN_AVAILABLE, 1)),
    )
    return Answer(connack_code(code), connected, None if keepalive is None else int(keepalive))


def read_puback(body: bytes) -> Acknowledged:
    """Of MQTT 5 with a reason code where it is not 0."""
    fields = Fields(body)
    packet_id = fields.number(2)
    code = fields.number(1) if fields.left else 0
    return Acknowledged(packet_id, code, reason_text(code))


def read_suback(body: bytes, *, five: bool) -> tuple[int, list[int]]:
    """The packet id and a code for each filter."""
    fields = Fields(body)
    packet_id = fields.number(2)
    if five:
        fields.properties()
    return packet_id, list(fields.rest())


def read_disconnect(body: bytes) -> int:
    """Its reason code."""
    return body[0] if body else 0


def read_publish(flags: int, body: bytes, *, five: bool) -> tuple[Received, int]:
    """The message, and the packet id that wants an answer, 0 for QoS 0. A topic that is no text is `�`, not an error:
    whoever may publish must not be able to end our connection."""
    fields = Fields(body)
    qos = flags >> 1 & 3
    topic = fields.counted().decode(errors="replace")
    packet_id = fields.number(2) if qos else 0
    properties = fields.properties() if five else {}
    expiry = properties.get(_EXPIRY)
    message = Received(
        topic=topic,
        payload=fields.rest(),
        qos=qos,
        retained=bool(flags & 1),
        response_topic=_text(properties.get(_RESPONSE_TOPIC)),
        correlation_data=_binary(properties.get(_CORRELATION)),
        expiry_seconds=None if expiry is None else int(expiry),
    )
    return message, packet_id


def _binary(value: int | bytes | None) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _text(value: int | bytes | None) -> str | None:
    """None, too, where it is no text: there is nowhere to answer then."""
    try:
        return value.decode() if isinstance(value, bytes) else None
    except UnicodeDecodeError:
        return None
