"""What MQTT packets are made of: numbers, texts, binary data and properties (MQTT 5, 1.5 and 2.2.2)."""

from __future__ import annotations

from agent.errors import InspectdError

# Of a packet or of its properties: four bytes of seven bits each (MQTT 5, 1.5.5).
MAX_VARIABLE_LENGTH = 268_435_455

# MQTT 5, 2.2.2.2: how the value of each property is written. The user property, a pair of texts, is on its own below.
_NUMBERS = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_COUNTED = frozenset((0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F))
_SUBSCRIPTION_IDENTIFIER = 0x0B
_USER_PROPERTY = 0x26


class Malformed(InspectdError):
    """The other side sent what is no packet of MQTT."""


def text(value: str) -> bytes:
    """UTF-8 with its length in front."""
    return counted(value.encode())


def counted(data: bytes) -> bytes:
    """With the two bytes of its length in front (MQTT 5, 1.5.4 and 1.5.6)."""
    return len(data).to_bytes(2, "big") + data


def variable_length(value: int) -> bytes:
    """Seven bits a byte, the lowest first, the eighth set while more follow (MQTT 5, 1.5.5).

    >>> variable_length(127).hex(), variable_length(128).hex(), variable_length(MAX_VARIABLE_LENGTH).hex()
    ('7f', '8001', 'ffffff7f')
    """
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class Fields:
    """Takes a packet apart from front to back. Raises `Malformed` where it is too short or says what cannot be.

    >>> fields = Fields(bytes.fromhex("0001" "05" "21000a" "2501" "ff"))
    >>> fields.number(2), fields.properties(), fields.rest()
    (1, {33: 10, 37: 1}, b'\\xff')
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        begin, self._at = self._at, self._at + count
        if self._at > len(self._data):
            raise Malformed(f"a packet ends {self._at - len(self._data)} bytes too early")
        return self._data[begin : self._at]

    def rest(self) -> bytes:
        return self.take(self.left)

    def number(self, width: int) -> int:
        """Of `width` bytes."""
        return int.from_bytes(self.take(width), "big")

    def counted(self) -> bytes:
        return self.take(self.number(2))

    def variable_length(self) -> int:
        value = 0
        for position in range(4):
            byte = self.number(1)
            value |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                return value
        raise Malformed("a length of more than four bytes")

    def properties(self) -> dict[int, int | bytes]:
        """By identifier; texts as bytes, the last one of those that come twice, no user properties."""
        block = Fields(self.take(self.variable_length()))
        found: dict[int, int | bytes] = {}
        while block.left:
            identifier = block.number(1)
            if identifier in _NUMBERS:
                found[identifier] = block.number(_NUMBERS[identifier])
            elif identifier in _COUNTED:
                found[identifier] = block.counted()
            elif identifier == _SUBSCRIPTION_IDENTIFIER:
                found[identifier] = block.variable_length()
            elif identifier == _USER_PROPERTY:
                block.counted(), block.counted()
            else:
                raise Malformed(f"property 0x{identifier:02x}, which MQTT 5 does not know")
        return found
