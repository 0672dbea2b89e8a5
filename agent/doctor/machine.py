"""Checks of the computer itself: interpreter, clock."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from agent.doctor.finding import CheckResult, ok, problem, warning
from agent.settings import Settings

SUPPORTED_PYTHON = ((3, 10), (3, 13))

# A clock before this has lost its battery: the first line of this file is younger.
EARLIEST = datetime(2025, 1, 1, tzinfo=timezone.utc)

COMMAND_TIMEOUT_SECONDS = 5.0


def check_python(settings: Settings, version: tuple[int, int] = sys.version_info[:2]) -> Iterator[CheckResult]:
    """The interpreter is one that this release was tested on."""
    oldest, newest = SUPPORTED_PYTHON
    text = f"{version[0]}.{version[1]} at {sys.executable}"
    if oldest <= version <= newest:
        yield ok("python", text)
    else:
        wanted = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
        mend = f"python{newest[0]}.{newest[1]} -m venv /opt/inspectd, then install again"
        yield warning("python", f"{text}; this release was tested on {wanted}", mend)


def check_clock(
    settings: Settings,
    now: Callable[[], float] = time.time,
    synchronised: Callable[[], bool | None] | None = None,
) -> Iterator[CheckResult]:
    """The clock is set, and something keeps it right: alarms are found by their time."""
    at = datetime.fromtimestamp(now(), timezone.utc)
    if at < EARLIEST:
        yield problem("clock", f"it is {at:%Y-%m-%d} here", "timedatectl set-ntp true; a time server must be reachable")
        return
    state = (synchronised or clock_synchronised)()
    if state is None:
        yield warning("clock", f"{at:%Y-%m-%d %H:%M} UTC; whether it is kept right is not known", "timedatectl status")
    elif state:
        yield ok("clock", f"{at:%Y-%m-%d %H:%M} UTC, kept by a time server")
    else:
        yield warning("clock", f"{at:%Y-%m-%d %H:%M} UTC, kept by no time server", "timedatectl set-ntp true")


def clock_synchronised() -> bool | None:
    """What systemd says; None where it does not."""
    answer = output("timedatectl", "show", "--property=NTPSynchronized", "--value")
    return None if answer not in ("yes", "no") else answer == "yes"


def output(*command: str) -> str | None:
    """What a command prints; None where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
