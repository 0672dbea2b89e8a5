"""Which version of MQTT to use: 5 if the broker supports it, otherwise 3.1.1; found by trying."""

from __future__ import annotations

from agent.mqtt.paho_client import Protocol

# Brokers from before MQTT 5 may close the connection after a CONNECT of version 5 instead of giving the reason.
SILENT_REJECTIONS = 2


class ProtocolVersion:
    """The version of the next connection. For one thread.

    >>> choice = ProtocolVersion(Protocol.MQTT_5)
    >>> for _ in range(SILENT_REJECTIONS):
    ...     choice.rejected_silently()
    >>> choice.version.name
    'MQTT_3_1_1'
    """

    def __init__(self, wanted: Protocol) -> None:
        self._wanted = wanted
        self._silent_rejections = 0
        self.version = wanted

    def fall_back(self) -> bool:
        """The broker does not support this version; False if there is none to fall back to."""
        if self.version is Protocol.MQTT_3_1_1:
            return False
        self.version = Protocol.MQTT_3_1_1
        return True

    def accepted(self) -> None:
        """The broker accepted a connection."""
        self._silent_rejections = 0

    def rejected_silently(self) -> None:
        """The broker closed the connection without a reason, perhaps because of the version: try both in turn."""
        self._silent_rejections += 1
        older = self._silent_rejections % (2 * SILENT_REJECTIONS) >= SILENT_REJECTIONS
        self.version = Protocol.MQTT_3_1_1 if older else self._wanted

    def ended(self) -> None:
        """An accepted connection has ended: the next broker at this address may be another one."""
        self.version = self._wanted
