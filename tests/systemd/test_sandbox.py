"""The sandbox of the service on a real systemd, and the doctor's commands that open it further."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.core.clock import time_service
from engines.bundles import read_bundle
from tests.support.hostile_bundles import that_wants, with_graph
from tests.systemd.line import BOOTED, BUNDLE, configure, status, unit
from tests.systemd.machine import Machine

pytestmark = BOOTED

PLANT = "192.0.2.1"

ALLOWED = {"limit its memory", "own state", "own runtime", "own log", "own tmp", "loopback"}

# A Jetson's device name with the numbers of /dev/fuse, which any machine has and which opens for all who may read it.
JETSON_MEMORY = ("mknod", "--mode=0660", "/dev/nvmap", "c", "10", "229")


@pytest.fixture(scope="module")
def sandbox(machine: Machine) -> Machine:
    """A machine with another network, a GPU, a user's home, another agent's files, and a unit that runs the probe."""
    machine.run("ip", "address", "add", f"{PLANT}/32", "dev", "lo")
    machine.run("systemd-run", "--collect", "--unit=listener", "python3", "-m", "http.server", "8099")
    machine.wait_until(lambda: "8099" in machine.attempt("ss", "-ltn"), what="a listener")
    machine.run(*JETSON_MEMORY)
    machine.run("chgrp", "video", "/dev/nvmap")
    machine.write("/home/anna/letter", "dear")
    (machine.tree / "home/anna").chmod(0o755)
    configure(machine, "line1")
    machine.run("systemctl", "start", unit("line1"))
    machine.write("/etc/credstore/inspectd.line2.mqtt-password", "geheim\n", mode=0o600)
    configure(machine, "probe")
    machine.write("/opt/inspectd/probe.py", Path(__file__).with_name("probe.py").read_text())
    machine.write("/opt/inspectd/time_service.py", Path(time_service.__file__).read_text())
    machine.write(
        "/etc/systemd/system/inspectd@probe.service.d/probe.conf",
        "[Service]\nType=oneshot\nWatchdogSec=0\nRestart=no\nExecReload=\nExecStart=\n"
        "ExecStart=/opt/inspectd/bin/python /opt/inspectd/probe.py\n",
    )
    return machine


def probe(machine: Machine) -> dict[str, Any]:
    """Run the probe in the sandbox of `inspectd@probe`: the agent's unit with another command."""
    machine.run("systemctl", "daemon-reload")
    known = len(_attempts(machine))
    machine.run("systemctl", "start", unit("probe"))
    machine.wait_until(lambda: len(_attempts(machine)) > known, what="the probe's results in the journal")
    found: dict[str, Any] = json.loads(_attempts(machine)[-1].partition("PROBE ")[2])
    return found


def _attempts(machine: Machine) -> list[str]:
    return [line for line in machine.journal(unit("probe")).splitlines() if "PROBE" in line]


def doctor(machine: Machine, name: str) -> dict[str, Any]:
    """The doctor's results, by subject."""
    command = ["inspectd", "doctor", "--json", "--config", f"/etc/inspectd/{name}.toml"]
    return {result["subject"]: result for result in json.loads(machine.attempt(*command))}


def fix(machine: Machine, result: dict[str, Any]) -> None:
    """Run the command that the doctor gives for a problem."""
    machine.run("sh", "-c", result["mend"].replace("sudo ", ""))


def test_service_may_do_no_more_than_it_needs(sandbox: Machine) -> None:
    """The unit is what makes the others fail: everything exists, and root may use it."""
    sandbox.run("ls", "/var/lib/inspectd/line1/outbox.sqlite", "/home/anna/letter")
    sandbox.run("python3", "-c", f"import socket; socket.create_connection(('{PLANT}', 8099), 2)")
    sandbox.run("python3", "-c", "open('/dev/nvmap', 'r+b', 0)")
    found = probe(sandbox)
    print(json.dumps(found, indent=1))
    assert found.pop("user") > 60000
    found.pop("clock")
    assert {operation for operation, result in found.items() if result == "done"} == ALLOWED
    assert found["plant network"] in ("Operation not permitted", "timed out")


def test_address_that_the_administrator_allows_is_reachable(sandbox: Machine) -> None:
    sandbox.write(
        "/etc/systemd/system/inspectd@probe.service.d/network.conf", "[Service]\nIPAddressAllow=192.0.2.0/24\n"
    )
    found = probe(sandbox)
    assert {operation for operation, result in found.items() if result == "done"} == {*ALLOWED, "plant network"}


def test_doctors_command_opens_the_gpu(sandbox: Machine) -> None:
    """Root may open it, but the service may not until the command has been run."""
    closed = doctor(sandbox, "probe")["gpu"]
    assert closed["text"].startswith("the unit does not let the service open /dev/nvmap")
    fix(sandbox, closed)
    assert doctor(sandbox, "probe")["gpu"]["text"] == "the service may open /dev/nvmap"
    assert probe(sandbox)["gpu"] == "done"


def test_doctors_command_opens_the_way_to_the_broker(sandbox: Machine) -> None:
    """The doctor, as root, reaches the broker; the service does not until the command has been run."""
    configure(sandbox, "line3", url=f"mqtt://{PLANT}:1885")
    sandbox.write("/etc/mosquitto/conf.d/plant.conf", f"listener 1885 {PLANT}\nallow_anonymous true\n")
    sandbox.run("systemctl", "restart", "mosquitto")
    closed = doctor(sandbox, "line3")
    assert closed["broker"]["level"] == "ok"
    assert closed["rights"]["text"] == f"the unit does not let the service reach {PLANT} (broker)"
    fix(sandbox, closed["rights"])
    assert doctor(sandbox, "line3")["rights"]["level"] == "ok"
    sandbox.run("systemctl", "start", unit("line3"))
    sandbox.wait_until(lambda: status(sandbox, "line3")["delivery"]["connected"], what="line3 at its broker")
    sandbox.run("systemctl", "stop", unit("line3"))


def test_state_of_the_clock_is_known_in_the_sandbox(sandbox: Machine) -> None:
    """As root knows it, from the program that the agent asks over D-Bus. That answers users whom it can look up only:
    here by a line in passwd, in place of the package libnss-systemd."""
    unknown = probe(sandbox)
    with (sandbox.tree / "etc/passwd").open("a", encoding="ascii") as passwd:
        passwd.write(f"inspectd-probe:x:{unknown['user']}:{unknown['user']}::/:/usr/sbin/nologin\n")
    sandbox.run("systemctl", "reload", "dbus")
    state = sandbox.run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    assert unknown["clock"] == "None"
    assert probe(sandbox)["clock"] == {"yes": "True", "no": "False"}[state]


def test_model_that_wants_more_memory_than_a_model_may_ends_the_start_with_one_line(sandbox: Machine) -> None:
    """The limit holds in the sandbox; the kernel's OOM killer has nothing to do, and another line goes on."""
    with_graph(read_bundle(sandbox.tree / BUNDLE.lstrip("/")), sandbox.tree / "etc/inspectd/bomb.bundle", that_wants(6))
    configure(sandbox, "line4", bundle="/etc/inspectd/bomb.bundle")
    sandbox.run("systemctl", "start", "--no-block", unit("line4"))

    def failures() -> list[str]:
        return [line for line in sandbox.journal(unit("line4")).splitlines() if "onnxruntime engine" in line]

    sandbox.wait_until(failures, what="an error", facts=lambda: sandbox.journal(unit("line4"))[-3000:])
    sandbox.run("systemctl", "stop", unit("line4"))
    journal = sandbox.journal(unit("line4"))
    assert "allocate" in failures()[0] or "memory" in failures()[0], failures()[0]
    assert "Traceback" not in journal
    assert "oom" not in journal.lower()
    assert sandbox.show(unit("line1"), "ActiveState")["ActiveState"] == "active"
