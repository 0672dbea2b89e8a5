"""The unit, checked by systemd-analyze, which needs no running systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "systemd"
UNIT = FILES / "inspectd@.service"
DROP_INS = sorted(path.stem for path in (FILES / "drop-ins").glob("*.conf"))

# `security --offline=` and `verify --root=` exist since 250.
OLDEST_ANALYZE = 250


def analyze_version() -> int:
    """Version of systemd-analyze; 0 if it is not installed."""
    if shutil.which("systemd-analyze") is None:
        return 0
    text = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"systemd (\d+)", text)[1])  # type: ignore[index]


pytestmark = pytest.mark.skipif(
    analyze_version() < OLDEST_ANALYZE,
    reason=f"systemd-analyze of {OLDEST_ANALYZE} or later is not installed: apt install systemd",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file tree with the unit, the agent's command and systemd's own units."""
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    shutil.copy(UNIT, units)
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    for command in ("opt/inspectd/bin/inspectd", "bin/sh"):
        (tmp_path / command).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / command).write_text("#!/bin/sh\n")
        (tmp_path / command).chmod(0o755)
    return tmp_path


def add(root: Path, drop_ins: Iterable[str]) -> Path:
    """Install drop-ins as an administrator would; returns the unit's path."""
    unit = root / "etc/systemd/system/inspectd@.service"
    folder = unit.with_name("inspectd@.service.d")
    folder.mkdir()
    for name in drop_ins:
        shutil.copy(FILES / "drop-ins" / f"{name}.conf", folder)
    return unit


@pytest.mark.parametrize(
    ("drop_ins", "most"),
    [
        ((), 1.1),
        (("network", "credentials"), 1.1),
        (("camera", "jetson"), 1.5),
        (("camera", "nvidia"), 1.5),
        (("network", "modbus-502"), 1.5),
        (("network", "genicam"), 1.5),
        (("genicam", "usb3vision"), 1.5),
        (("network", "gpio"), 1.5),
        (("network", "s3", "webhook"), 1.1),
    ],
)
def test_exposure_is_low(root: Path, drop_ins: tuple[str, ...], most: float) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(add(root, drop_ins))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= most, "\n".join(line for line in done.stdout.splitlines() if "✗" in line)


@pytest.mark.parametrize("unit", ["inspectd-page@.service", "inspectd-opcua@.service", "inspectd-fleet.service"])
def test_pages_have_the_least_rights(unit: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(FILES / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= 1.1, "\n".join(line for line in done.stdout.splitlines() if "✗" in line)


@pytest.mark.parametrize("unit", ["inspectd-page@.service", "inspectd-fleet.service"])
def test_verify_finds_no_fault_in_the_pages(root: Path, unit: str) -> None:
    add(root, ())
    shutil.copy(FILES / unit, root / "etc/systemd/system")
    command = ["systemd-analyze", "verify", "--man=no", "--root", str(root), unit.replace("@", "@line1")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in (done.stdout + done.stderr).splitlines() if "inspectd" in line] == []
    assert done.returncode == 0


@pytest.mark.parametrize("drop_ins", [(), *((name,) for name in DROP_INS), DROP_INS])
def test_verify_finds_no_fault(root: Path, drop_ins: tuple[str, ...]) -> None:
    add(root, drop_ins)
    command = ["systemd-analyze", "verify", "--man=no", "--root", str(root), "inspectd@line1.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    about_us = [line for line in (done.stdout + done.stderr).splitlines() if "inspectd" in line]
    assert about_us == []
    assert done.returncode == 0


def test_verify_finds_an_unknown_key(root: Path) -> None:
    """The test above can fail."""
    folder = add(root, ()).with_name("inspectd@.service.d")
    (folder / "typo.conf").write_text("[Service]\nWatchdogSeconds=15\n")
    command = ["systemd-analyze", "verify", "--man=no", "--root", str(root), "inspectd@line1.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "WatchdogSeconds" in done.stdout + done.stderr


def test_every_drop_in_names_its_path() -> None:
    for name in DROP_INS:
        text = (FILES / "drop-ins" / f"{name}.conf").read_text()
        assert f"inspectd@line1.service.d/{name}.conf" in text, name
        assert "[Service]" in text.splitlines(), name
