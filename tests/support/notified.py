"""The other end of sd_notify: a socket that keeps every message, in place of systemd's."""

from __future__ import annotations

import socket
import time
from pathlib import Path


class Manager:
    """Listens at a path (or an abstract `@name`) and keeps every message."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self.messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        self._socket.setblocking(False)

    def receive(self) -> list[str]:
        """Read what has arrived; returns every message so far."""
        try:
            while True:
                self.messages.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return self.messages

    def wait_for(self, beginning: str, *, seconds: float = 60.0, after: int = 0) -> int:
        """The index of the first message that begins so, at `after` or later."""
        end = time.monotonic() + seconds
        while True:
            for index, message in enumerate(self.receive()):
                if index >= after and message.startswith(beginning):
                    return index
            assert time.monotonic() < end, f"no {beginning} within {seconds:g} s; received {self.messages}"
            time.sleep(0.02)

    def close(self) -> None:
        self._socket.close()
