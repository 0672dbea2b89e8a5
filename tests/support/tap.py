"""A tap on the line between a client and a broker: passes everything on, and can answer, fall silent or reset."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Any

PUBACK = 0x40


class Tap:
    """Listens on a free loopback port for one client at a time, and connects each to the broker."""

    def __init__(self, broker_port: int) -> None:
        self.refuse_with: int | None = None
        """Reason code put into every PUBACK that passes, though the broker took the message; None: as it is."""
        self.refused = 0
        """PUBACKs that were changed."""
        self._broker_port = broker_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._serve, name="tap", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def reset(self) -> None:
        """Ends every connection with RST, on both sides, in the middle of whatever passes."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # A thread that waits in recv() would keep the connection open behind a mere close().
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD)
            end.close()

    def close(self) -> None:
        self._listener.close()
        self.reset()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with suppress(OSError):
                    broker = socket.create_connection(("127.0.0.1", self._broker_port))
                    self._ends += [client, broker]
                    for ends in ((client, broker, False), (broker, client, True)):
                        threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, from_broker: bool) -> None:
        waiting = b""
        with suppress(OSError):
            while data := source.recv(65_536):
                if from_broker:
                    packets, waiting = whole_packets(waiting + data)
                    data = b"".join(map(self._changed, packets))
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def _changed(self, packet: bytes) -> bytes:
        if self.refuse_with is None or packet[0] & 0xF0 != PUBACK:
            return packet
        self.refused += 1
        return bytes([PUBACK, 3]) + packet[2:4] + bytes([self.refuse_with])


def whole_packets(data: bytes) -> tuple[list[bytes], bytes]:
    """The MQTT packets that are complete in `data`, and what is left of it.

    >>> whole_packets(b"\\x40\\x02\\x00\\x01\\xd0\\x00\\x40\\x02\\x00")
    ([b'@\\x02\\x00\\x01', b'\\xd0\\x00'], b'@\\x02\\x00')
    """
    packets = []
    while (length := _length(data)) is not None and len(data) >= length:
        packets.append(data[:length])
        data = data[length:]
    return packets, data


def _length(data: bytes) -> Any:
    """Of the first packet, with its header; None where that is not known yet."""
    remaining = 0
    for place, byte in enumerate(data[1:5]):
        remaining |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return 2 + place + remaining
    return None
