"""A socket that reads ahead: paho reads a PUBACK in three calls, and each of them releases the interpreter lock.

The thread that accepts alarms then takes the lock, and the publisher's thread has to wait for it. Here everything that
has arrived is read in one call, and returned from memory.
"""

from __future__ import annotations

from typing import Any

# Many times the PUBACKs of a full window; a longer command takes a few more reads.
READ_BYTES = 16 * 1024


class ReadAhead:
    """Replaces a socket (also an `ssl.SSLSocket`) with one reader; everything else is passed to the socket."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._ahead = b""
        self._position = 0

    def recv(self, max_bytes: int) -> bytes:
        """At most `max_bytes` bytes; empty at the end. Raises what the socket raises if nothing has arrived."""
        if self._position == len(self._ahead):
            self._ahead, self._position = self._sock.recv(READ_BYTES), 0
        part: bytes = self._ahead[self._position : self._position + max_bytes]
        self._position += len(part)
        return part

    def pending(self) -> int:
        """Bytes that are already read from the network, of which a selector knows nothing."""
        return len(self._ahead) - self._position + int(getattr(self._sock, "pending", int)())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
