"""The connections of Modbus clients: which are admitted, and how their bytes become requests, one after the other."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Sequence
from typing import Any

from pymodbus.server.requesthandler import ServerRequestHandler

from agent.outputs.modbus.settings import IpNetwork

log = logging.getLogger(__name__)

# The header of Modbus TCP: transaction, protocol (0), length of unit id and the rest. A request has 260 bytes at most
# (Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3).
HEADER_BYTES = 6
MAX_LENGTH = 254

# Requests that a client may send before it has the response to the first of them.
MAX_WAITING_BYTES = 16 * (HEADER_BYTES + MAX_LENGTH)

# A PLC that loses power sends no end. The kernel asks after so many seconds of silence, so often, this many times.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


class Connection(ServerRequestHandler):
    """One client.

    pymodbus takes one request at a time, and forgets what arrived after it. Here a request waits until the one before
    it is answered, and bytes that are no request end the connection.
    """

    def __init__(self, owner: Any, clients: Clients) -> None:
        super().__init__(owner, None, None, None)  # type: ignore[no-untyped-call]
        self._clients = clients
        self._waiting = b""
        self._handling = False
        self.last_heard = time.monotonic()
        """When the latest bytes arrived, monotonic seconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if not self._clients.admit(self, str(peer[0]) if peer else ""):
            self.close()
            return
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)

    def callback_disconnected(self, exc: Exception | None) -> None:
        super().callback_disconnected(exc)
        self._clients.left(self)

    def close(self, reconnect: bool = False) -> None:
        """Disconnect the client; pymodbus does not call `callback_disconnected` then."""
        super().close(reconnect)
        self._clients.left(self)

    def data_received(self, data: bytes) -> None:
        self.last_heard = time.monotonic()
        self._waiting += data
        self._next()

    def _next(self) -> None:
        """Pass on the next request once the one before it is answered."""
        while not self._handling and not self.is_closing and len(self._waiting) >= HEADER_BYTES:
            protocol, length = self._waiting[2:4], int.from_bytes(self._waiting[4:6], "big")
            if protocol != b"\0\0" or not 2 <= length <= MAX_LENGTH:
                log.debug("a Modbus client sent bytes that are no request: disconnected")
                self.close()
                return
            if len(self._waiting) < HEADER_BYTES + length:
                break
            request, self._waiting = self._waiting[: HEADER_BYTES + length], self._waiting[HEADER_BYTES + length :]
            super().data_received(request)
            self._handling = self.last_pdu is not None
        if len(self._waiting) > MAX_WAITING_BYTES:
            self.close()

    async def handle_request(self) -> None:
        """Answer the request; called by pymodbus."""
        try:
            if self.transport is not None:
                await super().handle_request()  # type: ignore[no-untyped-call]
        finally:
            self.last_pdu, self._handling = None, False
            self._next()


class Clients:
    """Admits clients by address and number. For the thread of the server."""

    def __init__(self, networks: Sequence[IpNetwork], max_clients: int) -> None:
        """Args:
        networks: the addresses of the clients that are allowed.
        max_clients: of more, the one that was silent for the longest time is disconnected: a PLC that lost its power
            must find a place again.
        """
        self._networks = networks
        self._max_clients = max_clients
        self._connected: set[Connection] = set()
        self._rejected: set[str] = set()

    @property
    def count(self) -> int:
        """Clients that are connected. May be read from any thread."""
        return len(self._connected)

    def admit(self, connection: Connection, address: str) -> bool:
        """Whether a new client may stay."""
        if not self.allows(address):
            # Once for each address: anybody in the network can connect as often as he likes.
            level = logging.DEBUG if address in self._rejected or len(self._rejected) >= 100 else logging.WARNING
            self._rejected.add(address) if level == logging.WARNING else None
            log.log(level, "Modbus client %s rejected: its address is not in the setting allow", address)
            return False
        if len(self._connected) >= self._max_clients:
            min(self._connected, key=lambda each: each.last_heard).close()
        self._connected.add(connection)
        log.info("Modbus client %s connected", address)
        return True

    def allows(self, address: str) -> bool:
        """Whether clients with this address are allowed."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return any((mapped or found) in network for network in self._networks)

    def left(self, connection: Connection) -> None:
        """A client has disconnected."""
        self._connected.discard(connection)

    def close(self) -> None:
        """Disconnect every client."""
        for connection in list(self._connected):
            connection.close()
