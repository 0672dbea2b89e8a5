"""A relay between agent and broker that notes which results the broker has acknowledged."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

from tests.support.tap import PUBACK, PUBLISH, Tap, whole_packets

_ID = re.compile(rb'"id":"([0-9a-f-]{36})"')


class Witness(Tap):
    """Forwards everything unchanged."""

    def __init__(self, broker_port: int) -> None:
        super().__init__(broker_port)
        self.acknowledged: set[str] = set()
        """Ids of the results whose PUBLISH got a PUBACK."""
        self._sent: dict[bytes, str] = {}
        """Ids of results by the packet identifier of their PUBLISH, as two bytes."""

    def _forward_to_broker(self, client: socket.socket, broker: socket.socket) -> None:
        waiting = b""
        self._sent.clear()
        with suppress(OSError):
            while data := client.recv(65_536):
                packets, waiting = whole_packets(waiting + data)
                for packet in packets:
                    self._note(packet)
                broker.sendall(data)
        with suppress(OSError):
            broker.shutdown(socket.SHUT_RDWR)

    def _note(self, packet: bytes) -> None:
        """Remember a PUBLISH at QoS 1: its topic and packet identifier follow the header (MQTT 5, 3.3.2)."""
        if packet[0] & 0xF6 != PUBLISH | 0x02:
            return
        start = next(place for place in range(1, 5) if packet[place] < 0x80) + 1
        end = start + 2 + int.from_bytes(packet[start : start + 2], "big")
        found = _ID.search(packet, end)
        if packet[start + 2 : end].endswith(b"/result") and found is not None:
            self._sent[packet[end : end + 2]] = found[1].decode()

    def _from_broker(self, packet: bytes) -> bytes:
        accepted = packet[0] & 0xF0 == PUBACK and (len(packet) < 5 or packet[4] < 0x80)
        identity = self._sent.pop(packet[2:4], None) if accepted else None
        if identity is not None:
            self.acknowledged.add(identity)
        return packet
