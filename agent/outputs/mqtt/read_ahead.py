"""A socket that reads ahead: paho takes a PUBACK in three reads, and each of them gives up the interpreter.

The thread that accepts alarms then takes it, and the one that feeds the broker waits to have it back. Here everything
that has arrived is read at once, and handed out from memory.
"""

from __future__ import annotations

from typing import Any

# PUBACKs of a full window many times over; a command longer than this takes a few more reads.
READ_BYTES = 16 * 1024


class ReadAhead:
    """In place of a socket (`ssl.SSLSocket` too) for one reader; all else is the socket's own."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._ahead = b""
        self._position = 0

    def recv(self, max_bytes: int) -> bytes:
        """Bytes, `max_bytes` at most; empty at the end. Raises what the socket raises where nothing has arrived."""
        if self._position == len(self._ahead):
            self._ahead, self._position = self._sock.recv(READ_BYTES), 0
        part: bytes = self._ahead[self._position : self._position + max_bytes]
        self._position += len(part)
        return part

    def pending(self) -> int:
        """Bytes that have been read from the network, and that no selector tells of."""
        return len(self._ahead) - self._position + int(getattr(self._sock, "pending", int)())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
