"""Messages from a service to systemd: sd_notify(3), with the standard library. Without systemd every call does nothing.

Each call sends one datagram of `NAME=value` lines to the Unix socket in `NOTIFY_SOCKET`. The PyPI packages for this are
unmaintained or need a compiler.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

# systemd reads its socket all the time; on a system that is too slow for that, the message is dropped: inspection must
# not wait for it.
SEND_TIMEOUT_SECONDS = 0.5


class Notifier:
    """Sends messages to the service manager. Never raises: inspection goes on without a manager."""

    def __init__(self, address: str | None = None) -> None:
        """`address`: a path, or `@name` in Linux's abstract namespace; None: no message is sent."""
        self._address = _unix_address(address)
        self._socket: socket.socket | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier:
        """For the service manager that started this process, if there is one."""
        return cls(environment.get("NOTIFY_SOCKET"))

    @property
    def enabled(self) -> bool:
        """Whether messages are sent."""
        return self._address is not None

    def ready(self) -> None:
        """The service has started, or has finished reloading."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for people; `systemctl status` shows it."""
        self._send(f"STATUS={' '.join(text.split())}")

    def watchdog(self) -> None:
        """Keep-alive: the service has made progress since the last such message."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Starting or stopping takes longer: `ready`, or another extension, follows within `seconds` from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def reloading(self) -> None:
        """The settings are being read again, until `ready`. Holds the time, as `Type=notify-reload` requires."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service is stopping."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.settimeout(SEND_TIMEOUT_SECONDS)
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            log.debug("service manager: %r was not sent: %s", message, error.strerror or error)


def _unix_address(address: str | None) -> bytes | None:
    """The address for the kernel, where an abstract name begins with a zero byte. None if it is no Unix socket.

    >>> _unix_address("@/org/notify"), _unix_address("/run/systemd/notify"), _unix_address("vsock:2:1234")
    (b'\\x00/org/notify', b'/run/systemd/notify', None)
    """
    if not address or address[0] not in "/@":
        return None
    raw = os.fsencode(address)
    return b"\0" + raw[1:] if raw.startswith(b"@") else raw
