"""Asks systemd: which unit settings belong to, and what properties it has."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.settings import SERVICE_SETTINGS

COMMAND_TIMEOUT_SECONDS = 5.0

RunCommand = Callable[..., str | None]
"""Runs a command, given word by word; returns what it prints, or None if it is not installed or fails."""


def command_output(*command: str) -> str | None:
    """What a command prints, without white space around it; None if it is not installed, fails or takes over 5 s."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def service_unit(config: Path) -> str | None:
    """The unit that runs with these settings; None if they are not the settings of a service.

    >>> service_unit(Path("/etc/inspectd/line1.toml")), service_unit(Path("line1.toml"))
    ('inspectd@line1.service', None)
    """
    return f"inspectd@{config.stem}.service" if config.absolute().parent == SERVICE_SETTINGS else None


def unit_properties(unit: str, names: Sequence[str], run: RunCommand = command_output) -> dict[str, str] | None:
    """The named properties of a unit, as `systemctl show` reports them; None if systemd does not answer."""
    shown = run("systemctl", "show", unit, f"--property={','.join(names)}")
    return None if shown is None else parse_properties(shown)


def parse_properties(shown: str) -> dict[str, str]:
    """The output of `systemctl show`. Values of a property that is on several lines are joined by spaces.

    >>> parse_properties("LoadState=loaded\\nDeviceAllow=/dev/nvmap rw\\nDeviceAllow=char-drm rw\\n")
    {'LoadState': 'loaded', 'DeviceAllow': '/dev/nvmap rw char-drm rw'}
    """
    found: dict[str, str] = {}
    for line in shown.splitlines():
        key, separator, value = line.partition("=")
        if separator:
            found[key] = f"{found[key]} {value}" if key in found else value
    return found
