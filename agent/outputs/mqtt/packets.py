"""What goes over a connection, without the protocol: messages out, events in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from agent.outputs.mqtt.subscriptions import CommandMessage


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker let us in."""

    session_present: bool
    receive_maximum: int
    maximum_packet_bytes: int | None
    """None: no limit."""
    retain_available: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """PUBACK. MQTT 3.1.1 knows no refusal; its code is always 0."""

    mid: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message for us."""

    topic: str
    payload: bytes
    qos: int
    retained: bool
    response_topic: str | None
    correlation_data: bytes | None
    expiry_seconds: int | None

    def to_command(self, now: float) -> CommandMessage:
        """For those who subscribed; `now` is the monotonic time of arrival, seconds."""
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
    """SUBACK; the code is 0x80 or more where the broker refused."""

    topic_filter: str
    code: int
    reason: str


ConnectionEvent = Connected | Acknowledged | Received | Subscribed


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish, with what MQTT 5 can say beside it."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    media_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_properties: tuple[tuple[str, str], ...] = ()

    def pack_properties(self) -> bytes:
        """The properties of PUBLISH with their length in front (MQTT 5, 3.3.2.3).

        paho's own `Properties` would take longer over them than over sending the image that they go with.
        """
        parts = []
        if self.media_type is not None:
            parts += [b"\x01\x01" if self.media_type == "application/json" else b"\x01\x00"]
            parts += [b"\x03", _text(self.media_type)]
        if self.response_topic is not None:
            parts += [b"\x08", _text(self.response_topic)]
        if self.correlation_data is not None:
            parts += [b"\x09", _counted(self.correlation_data)]
        for name, value in self.user_properties:
            parts += [b"\x26", _text(name), _text(value)]
        packed = b"".join(parts)
        return _variable_length(len(packed)) + packed

    def packet_bytes(self) -> int:
        """Size of the PUBLISH packet, bytes, from above.

        Fixed header 5, length of the topic 2, packet id 2, length of the properties 4; then what varies.
        """
        extra = sum(len(name.encode()) + len(value.encode()) + 5 for name, value in self.user_properties)
        extra += 2 + 3 + len(self.media_type or "") + 3 + len(self.correlation_data or b"")
        extra += 3 + len((self.response_topic or "").encode())
        return 13 + len(self.topic.encode()) + extra + len(self.payload)


# An alarm's messages say the same things: its id, its number, and what an image is.
@lru_cache(maxsize=64)
def _text(value: str) -> bytes:
    return _counted(value.encode())


def _counted(data: bytes) -> bytes:
    """With the two bytes of its length in front (MQTT 5, 1.5.4 and 1.5.6)."""
    return len(data).to_bytes(2, "big") + data


def _variable_length(value: int) -> bytes:
    """Seven bits a byte, the lowest first, the eighth set while more follow (MQTT 5, 1.5.5)."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
