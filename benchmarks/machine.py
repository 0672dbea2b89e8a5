"""The machine that a figure was measured on, for the head of every table."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path


def describe_machine() -> str:
    """Return date, cores, processor and Python: `2026-03-01, 2 cores of Intel(R) Xeon(R), Python 3.11.7`."""
    day = datetime.now(timezone.utc).date().isoformat()
    return f"{day}, {os.cpu_count()} cores of {_processor()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
