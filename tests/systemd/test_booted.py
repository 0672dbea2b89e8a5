"""The service on a real systemd: it starts, delivers, survives kills and hangs, stops, and starts again after a reboot.

All tests share one machine and run in this order. Times are printed; only promised ones are asserted.
"""

from __future__ import annotations

import json
import re
import time

from tests.systemd.line import (
    BOOTED,
    Subscriber,
    await_armed,
    calibration,
    configure,
    main_pid,
    make_bad_parts,
    ready_at,
    report,
    status,
    unit,
)
from tests.systemd.machine import Machine

pytestmark = BOOTED

# From the signal to the end, as docs/device.md promises.
STOP_SECONDS = 2.0

# Files in the thread dump of a working agent: its threads wait for signals, for the camera and for frames.
THREADS = ("agent/service/service.py", "agent/inspection/capture.py", "agent/inspection/thread.py")


def test_agent_starts_calibrates_and_delivers_alarms(machine: Machine, plc: Subscriber) -> None:
    configure(machine, "line1")
    started = time.monotonic()
    machine.run("systemctl", "enable", "--now", unit("line1"))
    report("systemctl start → READY", ready_at(machine, "line1") - started)
    text = machine.show(unit("line1"), "StatusText")["StatusText"]
    assert re.match(r"line1 calibrating \d+ of 100 good frames, [\d.]+ frames/s", text), text
    await_armed(machine, "line1")
    make_bad_parts(machine, "line1")
    plc.await_alarms("line1", 2)
    assert [alarm["event"] for alarm in plc.alarms("line1")][:2] == ["raised", "cleared"]
    assert {alarm["kind"] for alarm in plc.alarms("line1")} == {"defect"}


def test_killed_agent_is_armed_at_once_with_the_same_calibration(machine: Machine, plc: Subscriber) -> None:
    before, since = calibration(machine, "line1"), time.time()
    for _ in range(3):
        process = main_pid(machine, "line1")
        killed = time.monotonic()
        machine.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", unit("line1"))
        await_armed(machine, "line1", other_than=process)
        report("kill -9 → inspecting again", ready_at(machine, "line1") - killed)
        assert calibration(machine, "line1") == before
    assert "calibrating" not in plc.phases("line1", since), "armed at once"


def test_hung_agent_is_restarted_by_the_watchdog(machine: Machine) -> None:
    before, process = calibration(machine, "line1"), main_pid(machine, "line1")
    stopped = time.monotonic()
    machine.run("systemctl", "kill", "--signal=STOP", "--kill-who=main", unit("line1"))
    await_armed(machine, "line1", other_than=process)
    report("hung → inspecting again, of which 15 s are the watchdog's", ready_at(machine, "line1") - stopped)
    assert calibration(machine, "line1") == before
    log = machine.journal(unit("line1"))
    assert "Watchdog timeout" in log
    # Any thread may get the signal; if it is not one of Python's, the dump has no "current thread".
    dump = log.partition("Fatal Python error: Aborted")[2].partition("Main process exited")[0]
    assert all(thread in dump for thread in THREADS), f"the log shows the stack of every thread: {dump}"


def test_broker_that_is_away_costs_no_alarm(machine: Machine, plc: Subscriber) -> None:
    machine.run("systemctl", "stop", "mosquitto")
    machine.wait_until(
        lambda: status(machine, "line1")["delivery"]["outbox"]["waiting"] >= 3, what="alarms that wait for the broker"
    )
    known = status(machine, "line1")["delivery"]["outbox"]["sequence"]
    machine.run("systemctl", "start", "mosquitto")
    plc.await_sequence("line1", known)
    assert plc.missing("line1") == set(), "kills and the broker's absence included"


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


def test_stop_is_published_as_a_retained_status_within_two_seconds(machine: Machine, plc: Subscriber) -> None:
    asked = time.time()
    machine.run("systemctl", "stop", unit("line1"))
    report("systemctl stop", time.time() - asked)
    found = machine.show(unit("line1"), "ActiveState", "Result")
    assert found == {"ActiveState": "inactive", "Result": "success"}

    def stopped() -> list[float]:
        statuses = plc.documents("inspectd/line1/status")
        return [at for at, document in statuses if at > asked and document["status"] == "stopped"]

    machine.wait_until(stopped, what="stopped")
    report("systemctl stop → a subscriber has `stopped`", stopped()[0] - asked)
    assert stopped()[0] - asked <= STOP_SECONDS
    read = ["mosquitto_sub", "-h", "127.0.0.1", "-t", "inspectd/line1/status", "-C", "1", "-W", "10", "-F", "%r %p"]
    retained, _, document = machine.run(*read).partition(" ")
    assert (retained, json.loads(document)["status"]) == ("1", "stopped")


def test_agent_inspects_again_after_a_reboot(machine: Machine, plc: Subscriber) -> None:
    machine.run("systemctl", "start", unit("line1"))
    await_armed(machine, "line1")
    before = calibration(machine, "line1")
    known = status(machine, "line1")["delivery"]["outbox"]["sequence"]
    asked = time.monotonic()
    machine.reboot()
    await_armed(machine, "line1")
    report("reboot → inspecting again", ready_at(machine, "line1") - asked)
    assert calibration(machine, "line1") == before
    plc.listen().await_sequence("line1", known + 1)
    assert plc.missing("line1") == set(), "the stop and the reboot included"


def test_agent_that_cannot_start_waits_longer_before_each_attempt(machine: Machine) -> None:
    configure(machine, "broken", bundle="/none")
    machine.run("systemctl", "start", "--no-block", unit("broken"))
    waiting = "waiting 4 s: the last starts failed"
    machine.wait_until(
        lambda: waiting in machine.show(unit("broken"), "StatusText").get("StatusText", ""), what=waiting, seconds=300
    )
    assert int(machine.show(unit("broken"), "NRestarts")["NRestarts"]) <= 5
    assert "/none" in machine.journal(unit("broken"))
    machine.run("systemctl", "stop", unit("broken"))
