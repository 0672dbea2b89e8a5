"""Machines with the package installed: built once per session, booted once per module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deb import build_deb
from tests.systemd.line import NEW, OLD, Subscriber
from tests.systemd.machine import Machine, Overlay, base_tree, booted, inside


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two releases."""
    out = tmp_path_factory.mktemp("packages")
    for version in (OLD, NEW):
        build_deb(out, version=version)
    return out


@pytest.fixture(scope="session")
def installed(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An overlay layer: the files that the old release adds to a Debian without a network."""
    directory = tmp_path_factory.mktemp("installed") / "layer"
    package = f"inspectd_{OLD}_amd64.deb"
    with Overlay([base_tree()], directory) as tree:
        shutil.copy(packages / package, tree / "opt")
        inside(tree, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", f"/opt/{package}")
        (tree / "opt" / package).unlink()
        (tree / "etc/mosquitto/conf.d/test.conf").write_text("set_tcp_nodelay true\nmax_queued_messages 100000\n")
    return directory / "upper"


@pytest.fixture(scope="module")
def machine(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine with Mosquitto and the package; no agent is started."""
    directory = tmp_path_factory.mktemp("machine")
    with Overlay([installed, base_tree()], directory / "overlay") as tree, booted(tree, directory) as machine:
        yield machine


@pytest.fixture(scope="module")
def plc(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Subscriber:
    """A subscriber from the start of the module."""
    return Subscriber(machine, tmp_path_factory.mktemp("subscriber") / "messages").listen()
