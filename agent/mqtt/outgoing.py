"""The packets that we send. `five`: as MQTT 5 has them, else as MQTT 3.1.1."""

from __future__ import annotations

from dataclasses import dataclass

from agent.mqtt.fields import MAX_VARIABLE_LENGTH, counted, text, variable_length
from agent.packets import Outgoing

PING = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"


@dataclass(frozen=True, slots=True)
class Entry:
    """What CONNECT says beside the last will."""

    client_id: str
    keepalive_seconds: int
    clean_start: bool
    session_expiry_seconds: int = 0
    """MQTT 5 only."""
    will_delay_seconds: int = 0
    """MQTT 5 only."""
    username: str | None = None
    password: str | None = None


def connect(entry: Entry, will: Outgoing | None, *, five: bool) -> bytes:
    """CONNECT (3.1)."""
    flags = entry.clean_start << 1
    parts = [text(entry.client_id)]
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        parts += [_will_properties(entry, will) if five else b"", text(will.topic), counted(will.payload)]
    if entry.username is not None:
        flags |= 0x80
        parts.append(text(entry.username))
        if entry.password is not None:
            flags |= 0x40
            parts.append(text(entry.password))
    expiry = b"\x11" + entry.session_expiry_seconds.to_bytes(4, "big")
    head = text("MQTT") + bytes((5 if five else 4, flags)) + entry.keepalive_seconds.to_bytes(2, "big")
    return _packet(0x10, head, counted_properties(expiry) if five else b"", *parts)


def publish_head(message: Outgoing, packet_id: int, *, five: bool) -> bytes:
    """PUBLISH (3.3) up to its payload, which follows as it is: a picture is copied by nobody but the kernel.

    Raises ValueError where the packet would be longer than MQTT allows.
    """
    head = text(message.topic)
    if message.qos:
        head += packet_id.to_bytes(2, "big")
    if five:
        head += message.pack_properties()
    length = len(head) + len(message.payload)
    if length > MAX_VARIABLE_LENGTH:
        raise ValueError(f"{message.topic}: got {length} bytes, MQTT takes {MAX_VARIABLE_LENGTH} in a packet")
    return bytes((0x30 | message.qos << 1 | message.retain,)) + variable_length(length) + head


def subscribe(topic_filter: str, qos: int, packet_id: int, *, five: bool) -> bytes:
    """SUBSCRIBE (3.8). With MQTT 5, Retain As Published: a message says that it is retained also while it is new."""
    properties, options = (b"\x00", qos | 0x08) if five else (b"", qos)
    return _packet(0x82, packet_id.to_bytes(2, "big"), properties, text(topic_filter), bytes((options,)))


def acknowledge(packet_id: int) -> bytes:
    """PUBACK (3.4) that takes a message over."""
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def counted_properties(packed: bytes) -> bytes:
    """With their length in front (MQTT 5, 2.2.2)."""
    return variable_length(len(packed)) + packed


def _will_properties(entry: Entry, will: Outgoing) -> bytes:
    delay = b"\x18" + entry.will_delay_seconds.to_bytes(4, "big")
    return counted_properties(delay + (b"" if will.media_type is None else b"\x03" + text(will.media_type)))


def _packet(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((kind,)) + variable_length(len(body)) + body
