"""Bytes to a broker and back, over TCP or TLS, by a socket that never waits. What waits is in a queue here."""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from itertools import islice

# Handed to the kernel at a time; IOV_MAX of Linux is 1024.
MAX_PARTS = 256

# What is read at a time: thousands of PUBACKs, or a piece of a long command.
READ_BYTES = 256 * 1024

# TLS sends in records of 16 KiB: smaller parts are joined up to that, larger ones are not copied.
TLS_RECORD_BYTES = 16 * 1024

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Link:
    """For one thread. Raises `OSError` (`ssl.SSLError` is one)."""

    def __init__(self, sock: socket.socket) -> None:
        """Takes the socket over."""
        sock.setblocking(False)
        self._sock = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._unsent: deque[memoryview] = deque()
        self.sent_at = self.received_at = time.monotonic()
        """When the kernel last took something, and when something last came: monotonic seconds."""

    @classmethod
    def open(cls, host: str, port: int, context: ssl.SSLContext | None, *, timeout_seconds: float) -> Link:
        """Connects, with TLS where there is a context; waits for that, `timeout_seconds` for each step."""
        sock = socket.create_connection((host, port), timeout=timeout_seconds)
        try:
            # An alarm that is the last of its packets must not wait for the acknowledgement of those before it.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return cls(sock if context is None else context.wrap_socket(sock, server_hostname=host))
        except BaseException:
            sock.close()
            raise

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    @property
    def has_decrypted(self) -> bool:
        """Bytes have come that no selector tells of any more."""
        return self._tls is not None and self._tls.pending() > 0

    def send(self, *parts: bytes) -> None:
        """Queues bytes, which nobody may change any more, for `flush`."""
        self._unsent.extend(memoryview(part) for part in parts if part)

    def flush(self) -> None:
        """Hands the kernel as much as it takes."""
        try:
            while self._unsent:
                self._drop(self._write())
                self.sent_at = time.monotonic()
        except _NOT_NOW:
            return

    def receive(self) -> bytes | None:
        """What has come, perhaps nothing; None where the other side has ended the connection."""
        try:
            data = self._sock.recv(READ_BYTES)
        except _NOT_NOW:
            return b""
        self.received_at = time.monotonic()
        return data or None

    def close(self) -> None:
        self._sock.close()

    def _write(self) -> int:
        if self._tls is not None:
            return self._tls.send(self._record())
        return self._sock.sendmsg(list(islice(self._unsent, MAX_PARTS)))

    def _record(self) -> memoryview | bytes:
        """The next bytes for TLS. After it could not send them, it wants the same ones, and gets them: what follows is
        only added to."""
        if len(self._unsent[0]) >= TLS_RECORD_BYTES:
            return self._unsent[0]
        parts: list[memoryview] = []
        room = TLS_RECORD_BYTES
        for part in self._unsent:
            parts.append(part[:room])
            room -= len(parts[-1])
            if room == 0:
                break
        return b"".join(parts)

    def _drop(self, count: int) -> None:
        """These many bytes are sent."""
        while count > 0:
            first = self._unsent[0]
            if count < len(first):
                self._unsent[0] = first[count:]
                return
            count -= len(first)
            self._unsent.popleft()
