"""Which version of MQTT to speak: 5 where the broker can, 3.1.1 where it cannot, found out by trying."""

from __future__ import annotations

from agent.outputs.mqtt.connection import Protocol

# Brokers from before MQTT 5 may close the connection on a CONNECT of version 5 instead of naming the reason.
SILENT_REFUSALS = 2


class ProtocolVersion:
    """The version of the next connection. One thread only.

    >>> choice = ProtocolVersion(Protocol.MQTT_5)
    >>> for _ in range(SILENT_REFUSALS):
    ...     choice.refused_silently()
    >>> choice.version.name
    'MQTT_3_1_1'
    """

    def __init__(self, wanted: Protocol) -> None:
        self._wanted = wanted
        self._silent_refusals = 0
        self.version = wanted

    def fall_back(self) -> bool:
        """The broker does not speak this version; False where there is none to fall back to."""
        if self.version is Protocol.MQTT_3_1_1:
            return False
        self.version = Protocol.MQTT_3_1_1
        return True

    def answered(self) -> None:
        """The broker let us in."""
        self._silent_refusals = 0

    def refused_silently(self) -> None:
        """Closed without a word: perhaps for the version. Tries both in turn until the broker says something."""
        self._silent_refusals += 1
        older = self._silent_refusals % (2 * SILENT_REFUSALS) >= SILENT_REFUSALS
        self.version = Protocol.MQTT_3_1_1 if older else self._wanted

    def ended(self) -> None:
        """A connection that stood has ended: the broker may be another one by the next."""
        self.version = self._wanted
