"""Debian packages of this working tree, built as `make deb` does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The Python of Debian 12, the system of the booted machines.
PYTHON = "3.11"


def build_deb(out: Path, *, version: str, arch: str = "amd64", python: str = PYTHON) -> Path:
    """The path of the package. The wheels come from PyPI, or from pip's cache."""
    tools = Path(sys.executable).parent
    variables = {"VERSION": version, "ARCH": arch, "PYTHON": python, "PIP": str(tools / "pip"), "BIN": str(tools)}
    command = [ROOT / "packaging" / "build-deb", out]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / f"inspectd_{version}_{arch}.deb"
