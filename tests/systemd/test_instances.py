"""Two services on one machine: side by side with a password each, and never two with one site."""

from __future__ import annotations

from tests.systemd.line import BOOTED, Subscriber, await_armed, configure, main_pid, make_bad_parts, status, unit
from tests.systemd.machine import Machine

pytestmark = BOOTED


def test_two_instances_run_side_by_side_with_a_password_each_from_its_credential(
    machine: Machine, plc: Subscriber
) -> None:
    """The broker of the second one requires a password, which only root and this service can read."""
    machine.write(
        "/etc/mosquitto/conf.d/guarded.conf",
        "per_listener_settings true\nlistener 1883 127.0.0.1\n"
        "allow_anonymous true\nlistener 1884 127.0.0.1\nallow_anonymous false\npassword_file /etc/mosquitto/users\n",
    )
    machine.run("mosquitto_passwd", "-c", "-b", "/etc/mosquitto/users", "inspectd", "geheim")
    machine.run("chown", "mosquitto:", "/etc/mosquitto/users")
    machine.run("systemctl", "restart", "mosquitto")
    machine.write("/etc/credstore/inspectd.line2.mqtt-password", "geheim\n", mode=0o600)
    configure(machine, "line1")
    configure(machine, "line2", url="mqtt://127.0.0.1:1884", mqtt='username = "inspectd"')
    machine.run("systemctl", "start", unit("line1"), unit("line2"))
    for name in ("line1", "line2"):
        await_armed(machine, name)
        make_bad_parts(machine, name)
    processes = {name: main_pid(machine, name) for name in ("line1", "line2")}
    for name in ("line1", "line2"):
        plc.await_alarms(name, len(plc.alarms(name)) + 2)
        assert plc.missing(name) == set()
        assert status(machine, name)["delivery"]["connected"]
        assert main_pid(machine, name) == processes[name], "neither disturbs the other"
    users = {machine.run("stat", "--format=%u", f"/proc/{process}") for process in processes.values()}
    assert len(users) == 2, "neither may read the other's files"
    assert "0" not in users
    machine.run("systemctl", "stop", unit("line2"))


def test_second_service_with_the_same_site_does_not_start(machine: Machine) -> None:
    """With one client id, the two would disconnect each other at the broker for ever."""
    configure(machine, "twin")
    file = machine.tree / "etc/inspectd/twin.toml"
    file.write_text(file.read_text().replace('site = "twin"', 'site = "line1"'))
    process = main_pid(machine, "line1")
    machine.run("systemctl", "start", "--no-block", unit("twin"))
    refused = "another inspectd service on this machine uses it"
    machine.wait_until(lambda: refused in machine.journal(unit("twin")), what=refused)
    machine.run("systemctl", "stop", unit("twin"))
    assert main_pid(machine, "line1") == process
    report = machine.attempt("inspectd", "doctor", "--config", "/etc/inspectd/line1.toml")
    assert "problem  site: twin has the same site 'line1' on the same broker" in report
    file.unlink()
