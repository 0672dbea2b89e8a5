"""Messages and events of a connection, independent of paho."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Connected:
    """CONNACK: the broker accepted the connection."""

    session_present: bool
    receive_maximum: int
    maximum_packet_bytes: int | None
    """None: no limit."""
    retain_available: bool
    maximum_qos: int = 2


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """PUBACK. In MQTT 3.1.1 it cannot reject a message; the code is always 0."""

    mid: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message to the agent."""

    topic: str
    payload: bytes
    qos: int
    retained: bool
    response_topic: str | None
    correlation_data: bytes | None
    expiry_seconds: int | None

    def to_command(self, now: float) -> CommandMessage:
        """The message for a handler; `now` is the monotonic time of its arrival, seconds."""
        return CommandMessage(
            topic=self.topic,
            payload=self.payload,
            retained=self.retained,
            response_topic=self.response_topic,
            correlation_data=self.correlation_data,
            expiry_seconds=self.expiry_seconds,
            received_monotonic=now,
        )


@dataclass(frozen=True, slots=True)
class Subscribed:
    """SUBACK; a code of 0x80 or more means that the broker rejected the subscription."""

    topic_filter: str
    code: int
    reason: str


ConnectionEvent = Connected | Acknowledged | Received | Subscribed


@dataclass(frozen=True, slots=True)
class CommandMessage:
    """A message on a subscribed topic, for its handler."""

    topic: str
    payload: bytes
    retained: bool
    """The broker had stored it: a command should never be retained."""
    response_topic: str | None
    """Where the sender wants the response (MQTT 5)."""
    correlation_data: bytes | None
    """To be returned with the response (MQTT 5)."""
    expiry_seconds: int | None
    """Remaining lifetime; the broker drops expired messages. None: the sender set no expiry."""
    received_monotonic: float
    """Seconds, of the publisher's clock."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish, with its MQTT 5 properties."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    media_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    expiry_seconds: int | None = None
    """The broker drops it after so long, kept ones too (MQTT 5); None: never."""

    def pack_properties(self) -> bytes:
        """The properties of PUBLISH, preceded by their length (MQTT 5, 3.3.2.3).

        paho's own `Properties` would take longer to pack them than to send the image they belong to.
        """
        parts = []
        if self.media_type is not None:
            parts += [b"\x01\x01" if self.media_type == "application/json" else b"\x01\x00"]
            parts += [b"\x03", _text(self.media_type)]
        if self.expiry_seconds is not None:
            parts += [b"\x02", self.expiry_seconds.to_bytes(4, "big")]
        if self.response_topic is not None:
            parts += [b"\x08", _text(self.response_topic)]
        if self.correlation_data is not None:
            parts += [b"\x09", _counted(self.correlation_data)]
        for name, value in self.user_properties:
            parts += [b"\x26", _text(name), _text(value)]
        packed = b"".join(parts)
        return _variable_length(len(packed)) + packed

    def packet_bytes(self) -> int:
        """Upper bound of the size of the PUBLISH packet, bytes.

        Fixed header 5, length of the topic 2, packet id 2, length of the properties 4; plus the variable parts.
        """
        extra = sum(len(name.encode()) + len(value.encode()) + 5 for name, value in self.user_properties)
        extra += 2 + 5 + 3 + len(self.media_type or "") + 3 + len(self.correlation_data or b"")
        extra += 3 + len((self.response_topic or "").encode())
        return 13 + len(self.topic.encode()) + extra + len(self.payload)


# The messages of an alarm repeat its id, its sequence number and the names of its images.
@lru_cache(maxsize=64)
def _text(value: str) -> bytes:
    return _counted(value.encode())


def _counted(data: bytes) -> bytes:
    """The data preceded by its length in two bytes (MQTT 5, 1.5.4 and 1.5.6)."""
    return len(data).to_bytes(2, "big") + data


def _variable_length(value: int) -> bytes:
    """Seven bits per byte, lowest first; the eighth bit is set while more bytes follow (MQTT 5, 1.5.5)."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
