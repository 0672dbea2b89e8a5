"""Thousands of damaged files: each is read, or rejected in one line, within limits of memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def many(kind: str, count: int) -> list[object]:
    """A few in `make test`, many in `make test-faults`."""
    return [(kind, 40), pytest.param((kind, count), marks=[pytest.mark.faults, pytest.mark.timeout(1800)])]


@pytest.mark.parametrize(
    "files",
    [*many("image", 2500), *many("tiff", 500), *many("dicom", 500), *many("video", 500)],
    ids=lambda files: f"{files[0]}-{files[1]}",
)
def test_damaged_file_is_read_or_rejected_in_one_line(tmp_path: Path, files: tuple[str, int]) -> None:
    """In a process of its own: a decoder that crashes, or wants all memory, ends only that one."""
    kind, count = files
    if kind == "dicom":
        pytest.importorskip("pydicom")
    command = [sys.executable, "-m", "tests.support.mutated_files", kind, "0", str(count), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ended at {sorted(file.name for file in tmp_path.iterdir())}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["faults"] == []
    assert found["read"] + found["rejected"] == count
    assert found["read"] > 0
    assert found["rejected"] > 0
