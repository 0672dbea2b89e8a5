"""Whether the clock is synchronised, from programs that may read what the sandbox of the service hides.

chronyd answers on its command port, as `chronyc tracking` shows. systemd-timedated's property `NTPSynchronized`
(org.freedesktop.timedate1(5)) is the state of the kernel, whichever program keeps the clock; D-Bus starts it when it is
asked, but only answers users that it can look up: those of `DynamicUser=` by the package libnss-systemd.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

_SERVICE, _OBJECT = b"org.freedesktop.timedate1", b"/org/freedesktop/timedate1"

# systemd makes this file in a container, where timedated may not read the clock's state either, and answers no.
CONTAINER = Path("/run/systemd/container")

# Longest time for one step of the question; a program that D-Bus starts answers within a tenth of it on slow devices.
STEP_SECONDS = 5.0

# How long an answer counts, and how long a caller waits for a new one.
KEPT_SECONDS = 10.0
WAIT_SECONDS = 1.0


# chronyd's command port (chrony.conf(5), cmdport); only root can bind it.
CHRONYD = ("127.0.0.1", 323)
CHRONYD_SECONDS = 0.5

# The protocol of chronyc, version 6: a request is as long as its reply, so that none is amplified.
_TRACKING_REQUEST = struct.pack(">BBxxHHIxxxxxxxx84x", 6, 1, 33, 0, 1)
_TRACKING_REPLY, _TRACKING_BYTES, _UNSYNCHRONISED = 5, 104, 3


def ask_chronyd(address: tuple[str, int] = CHRONYD) -> bool | None:
    """Whether chronyd has synchronised the clock; None where it does not run or answer."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(CHRONYD_SECONDS)
            udp.connect(address)
            udp.send(_TRACKING_REQUEST)
            answer = udp.recv(1024)
    except OSError:
        return None
    if len(answer) < _TRACKING_BYTES:
        return None
    # Reply and status follow the command; the leap status follows reference, address and stratum.
    reply, status = struct.unpack_from(">HH", answer, 6)
    (leap,) = struct.unpack_from(">H", answer, 54)
    return bool(leap != _UNSYNCHRONISED) if (reply, status) == (_TRACKING_REPLY, 0) else None


def ask_time_services() -> bool | None:
    """Whether the clock is synchronised, as chronyd or else timedated says. May block."""
    answer = ask_chronyd()
    return ask_timedated() if answer is None else answer


def ask_timedated(container: Path = CONTAINER) -> bool | None:
    """Whether the clock is synchronised; None without systemd, D-Bus or an answer, and in a container. May block."""
    try:
        library = ctypes.CDLL("libsystemd.so.0")
        answer = _read_flag(library, b"NTPSynchronized")
    except (OSError, AttributeError):
        return None
    return None if answer is False and container.exists() else answer


def _read_flag(library: ctypes.CDLL, name: bytes) -> bool | None:
    """A boolean property of timedated, by sd-bus(3)."""
    bus, value = ctypes.c_void_p(), ctypes.c_int()
    library.sd_bus_flush_close_unref.restype = ctypes.c_void_p
    if library.sd_bus_open_system(ctypes.byref(bus)) < 0:
        return None
    try:
        library.sd_bus_set_method_call_timeout(bus, ctypes.c_uint64(round(STEP_SECONDS * 1e6)))
        arguments = (bus, _SERVICE, _OBJECT, _SERVICE, name, None, ctypes.c_char(b"b"), ctypes.byref(value))
        return bool(value.value) if library.sd_bus_get_property_trivial(*arguments) >= 0 else None
    finally:
        library.sd_bus_flush_close_unref(bus)


class LatestAnswer:
    """Answers a question that may block, from a thread of its own: a D-Bus that hangs delays no alarm by more than
    WAIT_SECONDS, and only once. Any thread may call."""

    def __init__(
        self, ask: Callable[[], bool | None] = ask_time_services, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`ask`: the question; None: no answer. `clock`: monotonic seconds."""
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: bool | None = None
        self._answered: float | None = None
        self._thread: threading.Thread | None = None

    def __call__(self) -> bool | None:
        """The answer, up to KEPT_SECONDS old; an older one, or None, while the question is not answered."""
        with self._lock:
            fresh = self._answered is not None and self._clock() - self._answered < KEPT_SECONDS
            if fresh or (self._thread is not None and self._thread.is_alive()):
                return self._answer
            thread = self._thread = threading.Thread(target=self._run, name="clock state", daemon=True)
            thread.start()
        thread.join(WAIT_SECONDS)
        return self._answer

    def _run(self) -> None:
        self._answer = self._ask()
        self._answered = self._clock()


time_service_synchronised = LatestAnswer()
"""Whether the clock is synchronised, as these programs say; None if none can be asked."""
