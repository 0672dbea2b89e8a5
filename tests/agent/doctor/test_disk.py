"""Disks that are too small or full, and the file system that a folder is on."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from agent.doctor import Level
from agent.doctor.disk import check_disk, file_system
from agent.settings.load import load_settings
from tests.support.check_results import Configure


def test_quotas_beyond_the_disk_are_a_problem(configure: Configure) -> None:
    settings = load_settings(configure(), ["max_evidence_size=1000000 GiB"])
    (result,) = [result for result in check_disk(settings) if result.level is Level.PROBLEM]
    assert "the quotas may take" in result.text
    assert "set max_evidence_size = " in str(result.fix)


def test_quotas_that_fit_are_ok(configure: Configure) -> None:
    assert "free, the quotas may take" in list(check_disk(load_settings(configure())))[-1].text


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    small = tmp_path / "state"
    small.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no mounts here: {error.stderr!r}")
    try:
        with (small / "full").open("wb") as file, suppress(OSError):
            file.write(bytes(2 * 1024**2))
        results = list(check_disk(load_settings(configure())))
        assert [result.level for result in results] == [Level.WARNING, Level.PROBLEM]
        assert "is on tmpfs" in results[0].text
        assert "0 MiB free" in results[1].text
        assert "journalctl --vacuum-size" in str(results[1].fix)
        assert f"du -xh {small}" in str(results[1].fix)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    inner = tmp_path / "inner"
    inner.mkdir()
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\ntmpfs {inner} tmpfs rw 0 0\n")
    assert file_system(inner / "state", mounts) == "tmpfs"
    assert file_system(tmp_path, mounts) == "ext4"
    assert file_system(tmp_path, tmp_path / "none") == ""
