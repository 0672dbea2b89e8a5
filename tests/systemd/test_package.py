"""The Debian package on a real system without a network: install, upgrade, downgrade, remove, purge."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.line import (
    BOOTED,
    BUNDLE,
    NEW,
    OLD,
    Subscriber,
    await_armed,
    calibration,
    configure,
    main_pid,
    make_bad_parts,
    report,
    status,
    unit,
)
from tests.systemd.machine import Machine, Overlay, base_tree, booted

pytestmark = BOOTED


@pytest.fixture(scope="module")
def machine(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine with Mosquitto and two releases of the package in /opt/packages, neither installed."""
    directory = tmp_path_factory.mktemp("package")
    with Overlay([base_tree()], directory / "overlay") as tree:
        shutil.copytree(packages, tree / "opt/packages")
        with booted(tree, directory) as machine:
            yield machine


def install(machine: Machine, version: str, *options: str) -> None:
    """Install a release with apt-get, as a person does. Fails the test if apt-get fails."""
    package = f"/opt/packages/inspectd_{version}_amd64.deb"
    machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", *options, package, timeout=600)


def in_force(machine: Machine) -> str:
    """The release that /usr/bin/inspectd belongs to."""
    return machine.run("readlink", "--canonicalize", "/usr/bin/inspectd").split("/")[4]


def test_package_installs_without_a_network_and_the_agent_inspects(machine: Machine, plc: Subscriber) -> None:
    asked = time.monotonic()
    install(machine, OLD)
    report("apt install", time.monotonic() - asked)
    assert in_force(machine) == OLD
    assert "inspectd" in machine.run("inspectd", "--help")
    assert machine.run("getent", "passwd", "inspectd").endswith(":/var/lib/inspectd:/usr/sbin/nologin")
    # The shipped bundle is removed with its release, so this agent has a copy beside its settings.
    machine.run("cp", "-r", BUNDLE, "/etc/inspectd/line1.bundle")
    configure(machine, "line1", bundle="line1.bundle")
    machine.run("systemctl", "enable", "--now", unit("line1"))
    await_armed(machine, "line1")
    make_bad_parts(machine, "line1")
    plc.await_alarms("line1", 2)
    assert machine.run("env", "_INSPECTD_COMPLETE=complete_bash", "COMP_WORDS=inspectd sta", "COMP_CWORD=1", "inspectd")


def test_the_doctor_finds_nothing_wrong(machine: Machine) -> None:
    findings = machine.run("inspectd", "doctor", "--config", "/etc/inspectd/line1.toml")
    assert "problem" not in findings
    assert "in use by the running agent: armed" in findings
    assert "inspectd@line1.service: line1 armed" in findings
    print(f"\n{findings}")


def test_same_version_again_leaves_the_services_running(machine: Machine) -> None:
    """The new environment is made beside the one that they run from."""
    process, before = main_pid(machine, "line1"), in_force(machine)
    install(machine, OLD, "--reinstall")
    assert in_force(machine) != before
    await_armed(machine, "line1", other_than=process)
    assert machine.run("ls", "/opt/inspectd/releases").split() == [in_force(machine)]


def test_upgrade_and_downgrade_keep_settings_calibration_and_waiting_alarms(machine: Machine, plc: Subscriber) -> None:
    """The broker is stopped meanwhile, so that all alarms wait in the outbox."""
    settings = (machine.tree / "etc/inspectd/line1.toml").read_text()
    before = calibration(machine, "line1")
    machine.run("systemctl", "stop", "mosquitto")
    machine.wait_until(
        lambda: status(machine, "line1")["delivery"]["outbox"]["waiting"] >= 3, what="alarms that wait for the broker"
    )
    for version, options in ((NEW, ()), (OLD, ("--allow-downgrades",))):
        process, outbox = main_pid(machine, "line1"), status(machine, "line1")["delivery"]["outbox"]
        install(machine, version, *options)
        assert in_force(machine) == version
        await_armed(machine, "line1", other_than=process)
        after = status(machine, "line1")["delivery"]["outbox"]
        assert calibration(machine, "line1") == before
        assert after["sequence"] >= outbox["sequence"]
        assert after["waiting"] >= outbox["waiting"]
        assert machine.run("ls", "/opt/inspectd/releases") == version
    assert (machine.tree / "etc/inspectd/line1.toml").read_text() == settings
    machine.run("systemctl", "start", "mosquitto")
    plc.await_sequence("line1", after["sequence"])
    assert plc.missing("line1") == set()


def test_failed_upgrade_leaves_the_old_release_running(machine: Machine) -> None:
    """A package with a damaged wheel; installing the old release again repairs the system."""
    process = main_pid(machine, "line1")
    machine.run("dpkg-deb", "-R", f"/opt/packages/inspectd_{NEW}_amd64.deb", "/opt/broken")
    machine.run("sh", "-c", "truncate -s 1000 /opt/broken/usr/lib/inspectd/wheels/numpy-*.whl")
    machine.run("dpkg-deb", "-Znone", "-b", "/opt/broken", "/opt/packages/broken.deb")
    machine.attempt("dpkg", "--install", "/opt/packages/broken.deb")
    assert in_force(machine) == OLD
    assert main_pid(machine, "line1") == process, "the agent was not restarted"
    install(machine, OLD, "--allow-downgrades")
    await_armed(machine, "line1", other_than=process)


def test_remove_keeps_the_users_files_and_purge_removes_them(machine: Machine) -> None:
    machine.run("apt-get", "remove", "--yes", "inspectd")
    assert machine.attempt("systemctl", "is-active", unit("line1")) != "active"
    assert not (machine.tree / "opt/inspectd").exists()
    assert (machine.tree / "etc/inspectd/line1.toml").exists()
    assert list((machine.tree / "var/lib/private/inspectd/line1").iterdir())
    output = machine.run("apt-get", "purge", "--yes", "inspectd")
    assert "removing settings, models, calibrations, images, waiting alarms and the user inspectd" in output
    assert machine.attempt("getent", "passwd", "inspectd") == ""
    for gone in ("etc/inspectd", "var/lib/inspectd", "var/lib/private/inspectd", "var/log/private/inspectd"):
        assert not (machine.tree / gone).exists(), gone
    left = machine.run("find", "/etc", "/usr", "/var/lib", "-name", "*inspectd*", "-not", "-path", "/var/lib/apt/*")
    assert left == ""
