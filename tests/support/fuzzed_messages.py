"""Messages as nobody should send them: random topics, properties and payloads, from a seed."""

from __future__ import annotations

import random
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

LONGEST_BYTES = 65_535

# What MQTT and Mosquitto allow in a topic, and programs stumble over: a byte order mark, directions, emoji, format
# characters, spaces, and the names that mean something to the agent.
_PIECES = (
    *("\ufeff", "\u202e", "😀", "\u00ad", " ", "%s", "{site}", "{}", "\\", '"', "'", "..", "é", "\u2028"),
    *("inspectd", "plant", "cam", "command", "response", "status", "alarm", "pause", "calibration", "x" * 300),
)
_PAYLOADS = (b"", b"{}", b"null", b"[" * 4000, b'{"schema":1}', b"\xff\xfe", b"\x00" * 100, b'{"for":"1e999"}')


class FuzzedMessages:
    """An endless row of messages below the command topics of an agent. The same seed makes the same row."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def next(self) -> tuple[str, bytes, int, bool, Properties]:
        """Topic, payload, QoS, retain, properties."""
        choose = self._random
        payload = choose.choice((*_PAYLOADS, choose.randbytes(choose.randrange(20_000))))
        return self._topic(), payload, choose.randrange(2), choose.random() < 0.05, self._properties()

    def _topic(self) -> str:
        base = self._random.choice(
            ("inspectd/plant/command/", "inspectd/plant/cam/command/", "inspectd/plant/\ufeff/command/")
        )
        if self._random.random() < 0.2:
            tail = self._random.choice(("", "/command/status"))
            room = LONGEST_BYTES - self._random.randrange(3) - len((base + tail).encode())
            return base + "z" * room + tail
        return base + self._text(separator="/")

    def _text(self, separator: str = "") -> str:
        return separator.join(self._random.choice(_PIECES) for _ in range(self._random.randrange(1, 6)))

    def _properties(self) -> Properties:
        properties: Any = Properties(PacketTypes.PUBLISH)
        choose = self._random
        if choose.random() < 0.5:
            topics = ("desk/me", "\ufeff", "inspectd/plant/status", "r" * LONGEST_BYTES, self._text("/"))
            properties.ResponseTopic = choose.choice(topics)
        if choose.random() < 0.5:
            properties.CorrelationData = choose.randbytes(choose.choice((0, 1, 16, LONGEST_BYTES)))
        if choose.random() < 0.3:
            properties.UserProperty = [(self._text(), self._text()) for _ in range(choose.randrange(1, 20))]
        if choose.random() < 0.2:
            properties.ContentType = self._text()
        if choose.random() < 0.2:
            properties.MessageExpiryInterval = choose.choice((1, 60, 2**32 - 1))
        if choose.random() < 0.2:
            properties.PayloadFormatIndicator = 0
        return properties
