"""The wall clock in UTC and whether it can be trusted, and pacing a source to a frame rate."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from agent.core.time_service import time_service_synchronised

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


class Pace:
    """Limits a reader to a frame rate.

    A reader that falls behind by more than `MAX_BACKLOG_SECONDS` does not catch up with a burst of late frames.
    """

    MAX_BACKLOG_SECONDS = 0.5

    def __init__(
        self,
        frames_per_second: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Args:
        frames_per_second: the limit, above 0; None: no limit.
        clock: monotonic clock, seconds.
        sleep: sleeps so many seconds.

        Raises ValueError where `frames_per_second` is not above 0.
        """
        if frames_per_second is not None and not frames_per_second > 0.0:
            raise ValueError(f"frames_per_second is {frames_per_second}, wanted more than 0, or None")
        self._interval_seconds = None if frames_per_second is None else 1.0 / frames_per_second
        self._clock, self._sleep = clock, sleep
        self._due_at: float | None = None

    def restart(self) -> None:
        """Make the next frame due at once."""
        self._due_at = None

    def wait(self) -> None:
        """Sleep until the next frame is due; return at once where there is no limit."""
        if self._interval_seconds is None:
            return
        now = self._clock()
        if self._due_at is None or now - self._due_at > self.MAX_BACKLOG_SECONDS:
            self._due_at = now
        if self._due_at > now:
            self._sleep(self._due_at - now)
        self._due_at += self._interval_seconds
