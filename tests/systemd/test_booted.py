"""The service on a real systemd: it starts, delivers, survives, stops, and may do no more than it needs.

One machine for all tests, in their order. Times are printed, not judged: they are those of this computer.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.machine import MISSING, Machine, Overlay, agent_layer, base_tree, install_agent

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a container needs root"),
]

BUNDLE = "/opt/inspectd/lib/python3.11/site-packages/engines/bundles/simulator-camera.bundle"
SETTINGS = """\
site = "{name}"
inference_threads = 1
[mqtt]
url = "{url}"
{mqtt}
[cameras.{name}]
bundle = "{bundle}"
source = {{ kind = "simulator", frames_per_second = 10.0, good_frames = 220, defect_rate = 0.2 }}
calibration = {{ frames = 100, max_frames = 100, false_alarms = "1 per 1000 frames" }}
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted, with Mosquitto, the agent installed, and nothing of it started."""
    directory = tmp_path_factory.mktemp("machine")
    base = base_tree()
    with Overlay([agent_layer(base), base], directory / "overlay") as tree:
        install_agent(tree, directory / "wheel")
        (tree / "etc/mosquitto/conf.d/test.conf").write_text("set_tcp_nodelay true\nmax_queued_messages 100000\n")
        machine = Machine(tree, directory / "console.log")
        try:
            yield machine.boot()
        finally:
            machine.power_off()


def configure(
    machine: Machine, name: str, *, url: str = "mqtt://127.0.0.1:1883", mqtt: str = "", bundle: str = BUNDLE
) -> None:
    machine.write(f"/etc/inspectd/{name}.toml", SETTINGS.format(name=name, bundle=bundle, url=url, mqtt=mqtt))


def unit(name: str) -> str:
    return f"inspectd@{name}.service"


def status(machine: Machine, name: str) -> dict[str, Any]:
    """`inspectd status --json`; empty while nobody answers."""
    text = machine.attempt("/opt/inspectd/bin/inspectd", "status", "--json", "--config", f"/etc/inspectd/{name}.toml")
    return json.loads(text) if text else {}


def main_pid(machine: Machine, name: str) -> str:
    return machine.show(unit(name), "MainPID")["MainPID"]


def await_armed(machine: Machine, name: str, *, other_than: str = "0") -> str:
    """Until another process than that one says that it is armed; its number."""

    def armed() -> bool:
        found = machine.show(unit(name), "MainPID", "ActiveState", "StatusText")
        text = found.get("StatusText", "")
        return found.get("MainPID") not in ("0", other_than) and found["ActiveState"] == "active" and "armed" in text

    machine.wait_until(armed, what=f"{name} armed", facts=lambda: machine.journal(unit(name))[-3000:])
    return main_pid(machine, name)


def ready_at(machine: Machine, name: str) -> float:
    """When the unit became active, monotonic seconds: the clock of a container is that of its host."""
    return int(machine.show(unit(name), "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"]) / 1e6


def alarms(messages: Path, name: str) -> list[dict[str, Any]]:
    """The alarm documents that the subscriber has, in the order they came."""
    found = []
    for line in messages.read_text(errors="replace").splitlines():
        topic, _, payload = line.partition(" ")
        if topic == f"inspectd/{name}/{name}/alarm":
            found.append(json.loads(payload))
    return found


@pytest.fixture(scope="module")
def messages(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that a subscriber with a lasting session gets: topic and payload, a line each."""
    file = tmp_path_factory.mktemp("subscriber") / "messages"
    topics = ["-t", "inspectd/+/+/alarm", "-t", "inspectd/+/status"]
    options = ["-h", "127.0.0.1", "-V", "5", "-q", "1", "-i", "plc", "-c", "-x", "3600", "-F", "%t %p"]
    machine.start("mosquitto_sub", *options, *topics, output=file)
    return file


def test_it_starts_calibrates_and_delivers_alarms(machine: Machine, messages: Path) -> None:
    configure(machine, "line1")
    started = time.monotonic()
    machine.run("systemctl", "enable", "--now", unit("line1"))
    print(f"\nsystemctl start → READY: {ready_at(machine, 'line1') - started:.1f} s")
    text = machine.show(unit("line1"), "StatusText")["StatusText"]
    assert re.match(r"line1 calibrating \d+ of 100 good frames, [\d.]+ frames/s", text), text
    await_armed(machine, "line1")
    machine.wait_until(
        lambda: len(alarms(messages, "line1")) >= 2, what="alarms", facts=lambda: machine.journal(unit("line1"))[-3000:]
    )
    assert [alarm["event"] for alarm in alarms(messages, "line1")][:2] == ["raised", "cleared"]


def test_after_kill_9_it_is_armed_at_once_with_the_same_calibration(machine: Machine) -> None:
    before = status(machine, "line1")["cameras"]["line1"]["calibration"]
    for _ in range(3):
        process = main_pid(machine, "line1")
        killed = time.monotonic()
        machine.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", unit("line1"))
        await_armed(machine, "line1", other_than=process)
        print(f"kill -9 → inspecting again: {ready_at(machine, 'line1') - killed:.1f} s")
        assert status(machine, "line1")["cameras"]["line1"]["calibration"] == before


def test_a_hung_agent_is_restarted_by_the_watchdog(machine: Machine) -> None:
    process = main_pid(machine, "line1")
    stopped = time.monotonic()
    machine.run("systemctl", "kill", "--signal=STOP", "--kill-who=main", unit("line1"))
    await_armed(machine, "line1", other_than=process)
    print(f"hung → inspecting again: {ready_at(machine, 'line1') - stopped:.1f} s")
    log = machine.journal(unit("line1"))
    assert "Watchdog timeout" in log
    assert "Current thread" in log, f"the log shows where every thread stood: {log[-3000:]}"


def test_while_the_broker_is_away_nothing_is_lost(machine: Machine, messages: Path) -> None:
    machine.run("systemctl", "stop", "mosquitto")
    machine.wait_until(
        lambda: status(machine, "line1")["delivery"]["outbox"]["waiting"] >= 3, what="alarms that wait for the broker"
    )
    known = status(machine, "line1")["delivery"]["outbox"]["sequence"]
    machine.run("systemctl", "start", "mosquitto")
    machine.wait_until(
        lambda: known <= max(alarm["sequence"] for alarm in alarms(messages, "line1")), what="what had waited"
    )
    sequences = {alarm["sequence"] for alarm in alarms(messages, "line1")}
    assert sequences == set(range(1, max(sequences) + 1)), "without gaps, kills and the broker's absence included"


def test_two_instances_run_side_by_side_with_a_password_each_from_its_credential(machine: Machine) -> None:
    """The second one's broker wants a password, which only root and this service can read."""
    machine.write(
        "/etc/mosquitto/conf.d/guarded.conf",
        "per_listener_settings true\nlistener 1883 127.0.0.1\n"
        "allow_anonymous true\nlistener 1884 127.0.0.1\nallow_anonymous false\npassword_file /etc/mosquitto/users\n",
    )
    machine.run("mosquitto_passwd", "-c", "-b", "/etc/mosquitto/users", "inspectd", "geheim")
    machine.run("chown", "mosquitto:", "/etc/mosquitto/users")
    machine.run("systemctl", "restart", "mosquitto")
    machine.write("/etc/credstore/inspectd.line2.mqtt-password", "geheim\n", mode=0o600)
    configure(machine, "line2", url="mqtt://127.0.0.1:1884", mqtt='username = "inspectd"')
    machine.run("systemctl", "start", unit("line2"))
    await_armed(machine, "line2")
    machine.wait_until(lambda: status(machine, "line2")["delivery"]["connected"], what="line2 at its broker")
    assert main_pid(machine, "line1") != main_pid(machine, "line2")
    users = {machine.run("stat", "--format=%u", f"/proc/{main_pid(machine, name)}") for name in ("line1", "line2")}
    assert len(users) == 2, "neither may read the other's files"
    assert "0" not in users
    machine.run("systemctl", "stop", unit("line2"))


def test_a_second_service_of_the_same_site_refuses_to_start(machine: Machine) -> None:
    """At the broker the two would be one agent, and throw each other out for ever."""
    configure(machine, "twin")
    file = machine.tree / "etc/inspectd/twin.toml"
    file.write_text(file.read_text().replace('site = "twin"', 'site = "line1"'))
    process = main_pid(machine, "line1")
    machine.run("systemctl", "start", "--no-block", unit("twin"))
    refused = "another inspectd service of this machine has it"
    machine.wait_until(lambda: refused in machine.journal(unit("twin")), what=refused)
    machine.run("systemctl", "stop", unit("twin"))
    assert main_pid(machine, "line1") == process
    report = machine.attempt("/opt/inspectd/bin/inspectd", "doctor", "--config", "/etc/inspectd/line1.toml")
    assert "problem  site: twin has the same site 'line1' on the same broker" in report
    file.unlink()


def test_reload_takes_over_the_settings_and_the_journal_has_levels_and_fields(machine: Machine) -> None:
    file = machine.tree / "etc/inspectd/line1.toml"
    whole, process = file.read_text(), main_pid(machine, "line1")
    file.write_text(whole.replace("[mqtt]", "[mqtt]\nscores_per_second = 0.5", 1))
    machine.run("systemctl", "reload", unit("line1"))
    machine.wait_until(lambda: "mqtt.scores_per_second" in machine.journal(unit("line1")), what="settings read again")
    file.write_text("nonsense = [")
    machine.run("systemctl", "reload", unit("line1"))
    failures = ["journalctl", "--unit", unit("line1"), "--priority", "err", "--grep", "settings not read again"]
    machine.wait_until(lambda: "not TOML" in machine.attempt(*failures), what="an error of that priority")
    file.write_text(whole)
    assert main_pid(machine, "line1") == process
    assert machine.show(unit("line1"), "ActiveState") == {"ActiveState": "active"}
    assert machine.attempt("journalctl", "--unit", unit("line1"), "--grep", "camera=line1 .*logger=agent")


def test_stop_is_said_by_a_retained_stopped(machine: Machine) -> None:
    asked = time.monotonic()
    machine.run("systemctl", "stop", unit("line1"))
    print(f"systemctl stop: {time.monotonic() - asked:.1f} s")
    found = machine.show(unit("line1"), "ActiveState", "Result")
    assert found == {"ActiveState": "inactive", "Result": "success"}
    read = ["mosquitto_sub", "-h", "127.0.0.1", "-t", "inspectd/line1/status", "-C", "1", "-W", "10"]
    assert json.loads(machine.run(*read))["status"] == "stopped"


def test_after_a_reboot_it_inspects_without_a_hand(machine: Machine) -> None:
    machine.run("systemctl", "start", unit("line1"))
    await_armed(machine, "line1")
    before = status(machine, "line1")["cameras"]["line1"]["calibration"]
    asked = time.monotonic()
    machine.reboot()
    await_armed(machine, "line1")
    print(f"reboot → inspecting again: {ready_at(machine, 'line1') - asked:.1f} s")
    assert status(machine, "line1")["cameras"]["line1"]["calibration"] == before


def test_an_agent_that_cannot_start_is_tried_less_and_less(machine: Machine) -> None:
    configure(machine, "broken")
    machine.write(
        "/etc/inspectd/broken.toml", (machine.tree / "etc/inspectd/broken.toml").read_text().replace(BUNDLE, "/none")
    )
    machine.run("systemctl", "start", "--no-block", unit("broken"))
    waiting = "waiting 4 s: the last starts failed"
    machine.wait_until(
        lambda: waiting in machine.show(unit("broken"), "StatusText").get("StatusText", ""), what=waiting, seconds=300
    )
    assert int(machine.show(unit("broken"), "NRestarts")["NRestarts"]) <= 5
    assert "/none" in machine.journal(unit("broken"))
    machine.run("systemctl", "stop", unit("broken"))


def probe(machine: Machine) -> dict[str, Any]:
    """What a program may do in the sandbox of `inspectd@probe`: the unit as it is, with another command."""
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", unit("probe"))
    lines = [line for line in machine.journal(unit("probe")).splitlines() if "PROBE" in line]
    return json.loads(lines[-1].partition("PROBE ")[2])


@pytest.fixture
def sandbox(machine: Machine) -> Machine:
    """A network beside the loopback, somebody's home, and a unit that tries things."""
    machine.attempt("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    machine.run("systemd-run", "--collect", "--unit=listener", "python3", "-m", "http.server", "8099")
    machine.wait_until(lambda: "8099" in machine.attempt("ss", "-ltn"), what="a listener")
    machine.write("/home/anna/letter", "dear")
    (machine.tree / "home/anna").chmod(0o755)
    configure(machine, "probe")
    machine.write("/opt/inspectd/probe.py", Path(__file__).with_name("probe.py").read_text())
    machine.write(
        "/etc/systemd/system/inspectd@probe.service.d/probe.conf",
        "[Service]\nType=oneshot\nWatchdogSec=0\nRestart=no\nExecReload=\nExecStart=\n"
        "ExecStart=/opt/inspectd/bin/python /opt/inspectd/probe.py\n",
    )
    return machine


def test_it_may_do_no_more_than_it_needs(sandbox: Machine) -> None:
    reached = "import socket; socket.create_connection(('192.0.2.1', 8099), 2)"
    sandbox.run("python3", "-c", reached)
    found = probe(sandbox)
    print(json.dumps(found, indent=1))
    assert found.pop("user") > 60000
    allowed = {"own state", "own runtime", "own log", "own tmp", "loopback"}
    assert {what for what, how in found.items() if how == "done"} == allowed
    assert found["plant network"] in ("Operation not permitted", "timed out")
    sandbox.write(
        "/etc/systemd/system/inspectd@probe.service.d/network.conf", "[Service]\nIPAddressAllow=192.0.2.0/24\n"
    )
    assert probe(sandbox)["plant network"] == "done", "an address that the administrator allows"


def test_the_doctor_names_what_the_unit_keeps_from_the_service_and_its_command_opens_it(machine: Machine) -> None:
    """The doctor, as root, reaches the broker; the service does not until the command has been run."""
    configure(machine, "line3", url="mqtt://192.0.2.1:1885")
    machine.attempt("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    machine.write("/etc/mosquitto/conf.d/plant.conf", "listener 1885 192.0.2.1\nallow_anonymous true\n")
    machine.run("systemctl", "restart", "mosquitto")
    doctor = ["/opt/inspectd/bin/inspectd", "doctor", "--json", "--config", "/etc/inspectd/line3.toml"]

    def found() -> dict[str, Any]:
        return {finding["subject"]: finding for finding in json.loads(machine.attempt(*doctor))}

    closed = found()
    assert closed["broker"]["level"] == "ok"
    assert closed["rights"]["text"] == "the unit does not let the service reach 192.0.2.1 (broker)"
    machine.run("sh", "-c", closed["rights"]["mend"].replace("sudo ", ""))
    assert found()["rights"]["level"] == "ok"
    machine.run("systemctl", "start", unit("line3"))
    machine.wait_until(lambda: status(machine, "line3")["delivery"]["connected"], what="line3 at its broker")
    machine.run("systemctl", "stop", unit("line3"))
