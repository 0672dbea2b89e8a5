"""The Debian package on a real system without a network: install, upgrade, downgrade, remove, purge."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.machine import MISSING, ROOT, Machine, Overlay, base_tree
from tests.systemd.test_booted import await_armed, configure, status, unit

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a container needs root"),
]

OLD, NEW = "0.1.0-1", "0.1.0-2"
BUNDLE = "/opt/inspectd/releases/{version}/lib/python3.11/site-packages/engines/bundles/simulator-camera.bundle"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted, with two releases of the package in /opt/packages, and neither installed."""
    directory = tmp_path_factory.mktemp("package")
    with Overlay([base_tree()], directory / "overlay") as tree:
        for version in (OLD, NEW):
            build(tree / "opt/packages", version)
        machine = Machine(tree, directory / "console.log")
        try:
            yield machine.boot()
        finally:
            machine.power_off()


def build(out: Path, version: str) -> None:
    """A package for the machine's Python, Debian 12's."""
    tools = Path(sys.executable).parent
    variables = {"VERSION": version, "PYTHON": "3.11", "PIP": str(tools / "pip"), "BIN": str(tools)}
    command = [ROOT / "packaging" / "build-deb", out]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def install(machine: Machine, version: str, *options: str) -> None:
    """As a person does it. Exit status of apt-get judged."""
    package = f"/opt/packages/inspectd_{version}_amd64.deb"
    machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", *options, package, timeout=600)


def in_force(machine: Machine) -> str:
    """The release whose command /usr/bin/inspectd is."""
    return machine.run("readlink", "--canonicalize", "/usr/bin/inspectd").split("/")[4]


def test_it_installs_without_a_network_and_runs(machine: Machine) -> None:
    install(machine, OLD)
    assert in_force(machine) == OLD
    assert "inspectd" in machine.run("inspectd", "--help")
    assert machine.run("getent", "passwd", "inspectd").endswith(":/var/lib/inspectd:/usr/sbin/nologin")
    # The bundle of a release goes with the release: a line's own lies beside its settings.
    machine.run("cp", "-r", BUNDLE.format(version=OLD), "/etc/inspectd/line1.bundle")
    configure(machine, "line1", bundle="line1.bundle")
    machine.run("systemctl", "enable", "--now", unit("line1"))
    await_armed(machine, "line1")
    assert machine.run("env", "_INSPECTD_COMPLETE=complete_bash", "COMP_WORDS=inspectd sta", "COMP_CWORD=1", "inspectd")


def test_the_doctor_finds_nothing_wrong(machine: Machine) -> None:
    report = machine.run("inspectd", "doctor", "--config", "/etc/inspectd/line1.toml")
    assert "problem" not in report
    assert "in use by the running agent: armed" in report
    assert "inspectd@line1.service: line1 armed" in report
    print(f"\n{report}")


def test_an_upgrade_and_a_downgrade_keep_calibration_and_sequence(machine: Machine) -> None:
    before = status(machine, "line1")
    calibration = before["cameras"]["line1"]["calibration"]
    for version, options in ((NEW, ()), (OLD, ("--allow-downgrades",))):
        process = machine.show(unit("line1"), "MainPID")["MainPID"]
        install(machine, version, *options)
        assert in_force(machine) == version
        await_armed(machine, "line1", other_than=process)
        after = status(machine, "line1")
        assert after["cameras"]["line1"]["calibration"] == calibration
        assert after["delivery"]["outbox"]["sequence"] >= before["delivery"]["outbox"]["sequence"]
        assert machine.run("ls", "/opt/inspectd/releases") == version


def test_an_upgrade_that_fails_leaves_the_old_release_at_work(machine: Machine) -> None:
    """A package that is damaged inside; then the older one again, which mends it."""
    process = machine.show(unit("line1"), "MainPID")["MainPID"]
    machine.run("dpkg-deb", "-R", f"/opt/packages/inspectd_{NEW}_amd64.deb", "/opt/broken")
    machine.run("sh", "-c", "truncate -s 1000 /opt/broken/usr/lib/inspectd/wheels/numpy-*.whl")
    machine.run("dpkg-deb", "-Znone", "-b", "/opt/broken", "/opt/packages/broken.deb")
    machine.attempt("dpkg", "--install", "/opt/packages/broken.deb")
    assert in_force(machine) == OLD
    assert machine.show(unit("line1"), "MainPID")["MainPID"] == process, "it went on inspecting"
    install(machine, OLD, "--allow-downgrades")
    await_armed(machine, "line1", other_than=process)


def test_remove_keeps_what_is_the_users_and_purge_does_not(machine: Machine) -> None:
    machine.run("apt-get", "remove", "--yes", "inspectd")
    assert machine.attempt("systemctl", "is-active", unit("line1")) != "active"
    assert not (machine.tree / "opt/inspectd").exists()
    assert (machine.tree / "etc/inspectd/line1.toml").exists()
    assert list((machine.tree / "var/lib/private/inspectd/line1").iterdir())
    said = machine.run("apt-get", "purge", "--yes", "inspectd")
    assert "removing settings, models, calibrations, pictures, waiting alarms and the user inspectd" in said
    assert machine.attempt("getent", "passwd", "inspectd") == ""
    for gone in ("etc/inspectd", "var/lib/inspectd", "var/lib/private/inspectd", "var/log/private/inspectd"):
        assert not (machine.tree / gone).exists(), gone
    left = machine.run("find", "/etc", "/usr", "/var/lib", "-name", "*inspectd*", "-not", "-path", "/var/lib/apt/*")
    assert left == ""
