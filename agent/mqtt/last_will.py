"""Which last will the broker takes: one that is retained, at QoS 1, if it can; found by trying."""

from __future__ import annotations

from agent.core.errors import Temporary

# CONNACK reason codes (MQTT 5, 3.2.2.2).
RETAIN_NOT_SUPPORTED = 0x9A
QOS_NOT_SUPPORTED = 0x9B


class WillRejected(Temporary):
    """The broker does not offer what the last will asks for."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class WillTerms:
    """Retain flag and QoS of the last will of the next connection. For one thread.

    >>> terms = WillTerms()
    >>> terms.rejected(RETAIN_NOT_SUPPORTED), terms.retain, terms.qos
    (True, False, 1)
    >>> terms.rejected(RETAIN_NOT_SUPPORTED)
    False
    """

    def __init__(self) -> None:
        self.retain = True
        self.qos = 1

    def rejected(self, code: int) -> bool:
        """The broker rejected the will for this reason; False if the will did not ask for that."""
        if code == RETAIN_NOT_SUPPORTED and self.retain:
            self.retain = False
        elif code == QOS_NOT_SUPPORTED and self.qos > 0:
            self.qos = 0
        else:
            return False
        return True

    def ended(self) -> None:
        """An accepted connection has ended: the next broker at this address may be another one."""
        self.retain, self.qos = True, 1
