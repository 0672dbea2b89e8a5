"""A relay between a client and a broker: forwards everything, counts, can change answers and reset connections."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

PUBLISH, PUBACK, SUBACK = 0x30, 0x40, 0x90


class Tap:
    """Listens on a free loopback port for one client at a time, and connects each to the broker."""

    def __init__(self, broker_port: int) -> None:
        self.reject_with: int | None = None
        """Reason code put into every PUBACK, though the broker accepted the message; None: unchanged."""
        self.reject_subscriptions_with: int | None = None
        """The same for SUBACKs."""
        self.rejected = 0
        """PUBACKs that were changed."""
        self.most_in_flight = 0
        """The most PUBLISH packets at QoS 1 that waited for their PUBACK at the same time."""
        self._in_flight = 0
        self._lock = threading.Lock()
        self._broker_port = broker_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._serve, name="tap", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """End every connection with RST, on both sides, in the middle of whatever is being forwarded."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # With close() alone, a thread that waits in recv() would keep the connection open.
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
                try:
                    broker = socket.create_connection(("127.0.0.1", self._broker_port))
                except OSError:
                    client.close()
                else:
                    self._ends += [client, broker]
                    with self._lock:
                        self._in_flight = 0
                    threading.Thread(target=self._forward_to_broker, args=(client, broker), daemon=True).start()
                    threading.Thread(target=self._forward_to_client, args=(broker, client), daemon=True).start()

    def _forward_to_broker(self, client: socket.socket, broker: socket.socket) -> None:
        scanner = Scanner()
        with suppress(OSError):
            while data := client.recv(65_536):
                for first in scanner.first_bytes(data):
                    if first & 0xF6 == PUBLISH | 0x02:  # QoS 1
                        self._count(1)
                broker.sendall(data)
        with suppress(OSError):
            broker.shutdown(socket.SHUT_RDWR)

    def _forward_to_client(self, broker: socket.socket, client: socket.socket) -> None:
        waiting = b""
        with suppress(OSError):
            while data := broker.recv(65_536):
                packets, waiting = whole_packets(waiting + data)
                client.sendall(b"".join(map(self._from_broker, packets)))
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _from_broker(self, packet: bytes) -> bytes:
        if packet[0] & 0xF0 == SUBACK and self.reject_subscriptions_with is not None:
            return packet[:-1] + bytes([self.reject_subscriptions_with])
        if packet[0] & 0xF0 != PUBACK:
            return packet
        self._count(-1)
        if self.reject_with is None:
            return packet
        self.rejected += 1
        return bytes([PUBACK, 3]) + packet[2:4] + bytes([self.reject_with])

    def _count(self, change: int) -> None:
        with self._lock:
            self._in_flight += change
            self.most_in_flight = max(self.most_in_flight, self._in_flight)


class Scanner:
    """Finds the beginnings of MQTT packets in a stream.

    >>> scanner = Scanner()
    >>> [scanner.first_bytes(part) for part in (b"\\x32\\x03ab", b"c\\xd0", b"\\x00\\x30\\x01x")]
    [[50], [], [208, 48]]
    """

    def __init__(self) -> None:
        self._header = b""
        self._skip = 0

    def first_bytes(self, data: bytes) -> list[int]:
        """The first byte of each packet whose fixed header ends in `data`."""
        found, position = [], 0
        while position < len(data):
            if self._skip > 0:
                skipped = min(self._skip, len(data) - position)
                position, self._skip = position + skipped, self._skip - skipped
                continue
            self._header += data[position : position + 1]
            position += 1
            length = _length(self._header)
            if length is not None:
                found.append(self._header[0])
                self._skip, self._header = length - len(self._header), b""
        return found


def whole_packets(data: bytes) -> tuple[list[bytes], bytes]:
    """The MQTT packets that are complete in `data`, and the rest of it.

    >>> whole_packets(b"\\x40\\x02\\x00\\x01\\xd0\\x00\\x40\\x02\\x00")
    ([b'@\\x02\\x00\\x01', b'\\xd0\\x00'], b'@\\x02\\x00')
    """
    packets = []
    while (length := _length(data)) is not None and len(data) >= length:
        packets.append(data[:length])
        data = data[length:]
    return packets, data


def _length(data: bytes) -> int | None:
    """Length of the first packet including its header; None if the header is incomplete."""
    remaining = 0
    for place, byte in enumerate(data[1:5]):
        remaining |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return 2 + place + remaining
    return None
