"""`inspectd` as people use it: a process, its output, its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO


def inspectd(
    *arguments: str | Path,
    path: Path | None = None,
    timeout: float = 120.0,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. `path`: a folder searched for modules before all others; `stdin`: empty by default."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, filter(None, (path, *sys.path))))}
    command = [sys.executable, "-m", "agent.cli", *map(str, arguments)]
    return subprocess.run(
        command, stdin=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=environment
    )


def assert_one_line(done: subprocess.CompletedProcess[str], *wanted: str) -> None:
    """It has failed with exit code 1 and one line that has these words in it."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("inspectd: ")]
    assert len(lines) == 1, done.stderr
    for words in wanted:
        assert words in lines[0]
