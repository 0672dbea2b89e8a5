"""What a service tells systemd: sd_notify(3), in the standard library. Without systemd every call does nothing.

One datagram a call, `NAME=value` lines, to the Unix socket that `NOTIFY_SOCKET` names. The packages for it on PyPI are
stale or need a compiler.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

# systemd drains its socket all the time; a system that is so slow that it does not must not hold up inspection.
SEND_TIMEOUT_SECONDS = 0.5


class Notifier:
    """Speaks to the service manager. Never raises: a manager that went away is no reason to stop inspecting."""

    def __init__(self, address: str | None = None) -> None:
        """`address`: a path, or `@name` in Linux's abstract namespace; None where nobody listens."""
        self._address = _unix_address(address)
        self._socket: socket.socket | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier:
        """For the service manager that started this process, if one did."""
        return cls(environment.get("NOTIFY_SOCKET"))

    @property
    def listening(self) -> bool:
        """Whether a service manager asked to be told."""
        return self._address is not None

    def ready(self) -> None:
        """The service does what it is for."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for a person, shown by `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())}")

    def watchdog(self) -> None:
        """The service has got on since the last time."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Starting (or stopping) takes longer than planned: ready, or another extension, within `seconds` from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def reloading(self) -> None:
        """The settings are being read again; `ready` ends it. With the time, as `Type=notify-reload` wants it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service is on its way out."""
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
            log.debug("service manager: %r was not taken: %s", message, error.strerror or error)


def _unix_address(address: str | None) -> bytes | None:
    """As the kernel takes it: an abstract name begins with a zero byte. None for what is no Unix socket.

    >>> _unix_address("@/org/notify"), _unix_address("/run/systemd/notify"), _unix_address("vsock:2:1234")
    (b'\\x00/org/notify', b'/run/systemd/notify', None)
    """
    if not address or address[0] not in "/@":
        return None
    raw = os.fsencode(address)
    return b"\0" + raw[1:] if raw.startswith(b"@") else raw
