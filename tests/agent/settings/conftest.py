"""The smallest settings file."""

from __future__ import annotations

from pathlib import Path

import pytest

MINIMAL = """
site = "plant"
[cameras.line1]
bundle = "model.bundle"
[cameras.line1.source]
kind = "simulator"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "inspectd.toml"
    path.write_text(MINIMAL)
    return path
