"""Checks the computer itself: Python and the clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from agent.core.clock import EARLIEST
from agent.doctor.check_result import CheckResult, ok, problem, warning
from agent.doctor.service import RunCommand, command_output

SUPPORTED_PYTHON = ((3, 10), (3, 13))


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Iterator[CheckResult]:
    """This release was tested on this version of Python."""
    oldest, newest = SUPPORTED_PYTHON
    text = f"{version[0]}.{version[1]} at {sys.executable}"
    if oldest <= version <= newest:
        yield ok("python", text)
    else:
        wanted = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
        fix = f"python{newest[0]}.{newest[1]} -m venv /opt/inspectd, then install again"
        yield warning("python", f"{text}; this release was tested on {wanted}", fix)


def check_clock(now: Callable[[], float] = time.time, run: RunCommand = command_output) -> Iterator[CheckResult]:
    """The clock is set and kept in time: alarms are looked up by their time."""
    at = datetime.fromtimestamp(now(), timezone.utc)
    if at < EARLIEST:
        fix = "sudo timedatectl set-ntp true; a time server must be reachable"
        yield problem("clock", f"the clock is not set: it is at {at:%Y-%m-%d}", fix)
        return
    synchronised = clock_synchronised(run)
    time_text = f"{at:%Y-%m-%d %H:%M} UTC"
    if synchronised is None:
        yield warning("clock", f"{time_text}; not known whether a time server keeps it right", "timedatectl status")
    elif synchronised:
        yield ok("clock", f"{time_text}, synchronised with a time server")
    else:
        yield warning("clock", f"{time_text}, not synchronised with a time server", "sudo timedatectl set-ntp true")


def clock_synchronised(run: RunCommand = command_output) -> bool | None:
    """Whether systemd reports that the clock is synchronised; None if it does not answer."""
    answer = run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    return None if answer not in ("yes", "no") else answer == "yes"
