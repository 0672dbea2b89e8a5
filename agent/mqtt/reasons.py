"""What the codes in a broker's packets mean, in the words of the standard (MQTT 5, 2.4; MQTT 3.1.1, 3.2.2.3)."""

from __future__ import annotations

# From here on a code is a refusal.
REFUSED = 0x80

UNSUPPORTED_VERSION = 0x84
PACKET_TOO_LARGE = 0x95

_REASONS = {
    0x00: "Success",
    0x10: "No matching subscribers",
    0x80: "Unspecified error",
    0x81: "Malformed packet",
    0x82: "Protocol error",
    0x83: "Implementation specific error",
    0x84: "Unsupported protocol version",
    0x85: "Client identifier not valid",
    0x86: "Bad user name or password",
    0x87: "Not authorized",
    0x88: "Server unavailable",
    0x89: "Server busy",
    0x8A: "Banned",
    0x8B: "Server shutting down",
    0x8C: "Bad authentication method",
    0x8D: "Keep alive timeout",
    0x8E: "Session taken over",
    0x8F: "Topic filter invalid",
    0x90: "Topic name invalid",
    0x91: "Packet identifier in use",
    0x93: "Receive maximum exceeded",
    0x94: "Topic alias invalid",
    0x95: "Packet too large",
    0x96: "Message rate too high",
    0x97: "Quota exceeded",
    0x98: "Administrative action",
    0x99: "Payload format invalid",
    0x9A: "Retain not supported",
    0x9B: "QoS not supported",
    0x9C: "Use another server",
    0x9D: "Server moved",
    0x9E: "Shared subscription not supported",
    0x9F: "Connection rate exceeded",
    0xA0: "Maximum connect time",
    0xA1: "Subscription identifiers not supported",
    0xA2: "Wildcard subscription not supported",
}

# The return codes of MQTT 3.1.1's CONNACK, as those of MQTT 5 that mean the same.
_OF_3_1_1 = {1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}


def reason_text(code: int) -> str:
    """In words.

    >>> reason_text(0x87), reason_text(0xFF)
    ('Not authorized', 'code 0xff')
    """
    return _REASONS.get(code, f"code 0x{code:02x}")


def connack_code(code: int) -> int:
    """The code of a CONNACK as one of MQTT 5: a broker that does not know version 5 answers in the older ones."""
    return _OF_3_1_1.get(code, code if code == 0 or code >= REFUSED else 0x80)
