"""The wall clock in UTC, and whether it can be trusted."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from agent.core.clock.time_service import time_service_synchronised

# A clock that is before this was never set: the first release is younger.
EARLIEST = datetime(2025, 1, 1, tzinfo=timezone.utc)

# systemd-timesyncd makes the file `synchronized` here once it has set the clock (systemd-timesyncd.service(8)).
TIMESYNCD = Path("/run/systemd/timesync")

# Beyond this largest error, the kernel's limit, the clock is not synchronised. systemd-timedated decides by it too: the
# flag STA_UNSYNC only keeps the kernel from setting the RTC, and chrony sets it without its option `rtcsync`.
_MAX_ERROR_MICROSECONDS = 16_000_000


class _Timex(ctypes.Structure):
    """The head of `struct timex` of adjtimex(2), and room for the rest."""

    # A `modes` of 0: only read.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 512),
    )


def utc_now() -> datetime:
    """The wall-clock time now, UTC."""
    return datetime.now(timezone.utc)


def kernel_synchronised() -> bool | None:
    """Whether the kernel considers the clock synchronised; None if it may not be asked (or is not Linux)."""
    state = _Timex()
    try:
        allowed = ctypes.CDLL(None).adjtimex(ctypes.byref(state)) >= 0
    except (OSError, AttributeError, TypeError):
        return None
    return state.maxerror < _MAX_ERROR_MICROSECONDS if allowed else None


def clock_synchronised(
    now: Callable[[], datetime] = utc_now,
    kernel: Callable[[], bool | None] = kernel_synchronised,
    timesyncd: Path = TIMESYNCD,
    time_service: Callable[[], bool | None] = time_service_synchronised,
) -> bool | None:
    """Whether a time server keeps the clock; None if that cannot be found out.

    The kernel does not answer in the sandbox of the service (ProtectClock=); chronyd, systemd-timedated and
    systemd-timesyncd do there.
    """
    if now() < EARLIEST:
        return False
    answer = kernel()
    if answer is None:
        answer = time_service()
    if answer is None and timesyncd.is_dir():
        return (timesyncd / "synchronized").exists()
    return answer
