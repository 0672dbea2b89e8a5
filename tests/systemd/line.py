"""An agent in a booted machine: its settings, its status from systemd and from its control socket, its messages."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.machine import MISSING, Machine

# Every test module that boots a machine.
BOOTED = [
    pytest.mark.systemd,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a container needs root"),
]

# Two releases of the package; a booted machine has the old one.
OLD, NEW = "0.1.0-1", "0.1.0-2"
BUNDLE = f"/opt/inspectd/releases/{OLD}/lib/python3.11/site-packages/engines/bundles/shipped/simulator-camera.bundle"

SETTINGS = """\
site = "{name}"
inference_threads = 1
[mqtt]
url = "{url}"
{mqtt}
[cameras.{name}]
bundle = "{bundle}"
source = {{ kind = "simulator", frames_per_second = 10.0, good_frames = {good_frames}, defect_rate = 0.2 }}
calibration = {{ frames = 100, max_frames = 100, false_alarms = "1 per 1000 frames" }}
"""

TOPICS = ("inspectd/+/status", "inspectd/+/+/alarm", "inspectd/+/+/state")

# More than any test needs: a slow machine drops frames, and the window then takes more of the simulated ones.
ALL_GOOD = 1_000_000


def configure(
    machine: Machine,
    name: str,
    *,
    url: str = "mqtt://127.0.0.1:1883",
    mqtt: str = "",
    bundle: str = BUNDLE,
    good_frames: int = ALL_GOOD,
) -> None:
    """Write the settings of an agent whose parts are good, or good for so many frames only."""
    text = SETTINGS.format(name=name, bundle=bundle, url=url, mqtt=mqtt, good_frames=good_frames)
    machine.write(f"/etc/inspectd/{name}.toml", text)


def make_bad_parts(machine: Machine, name: str) -> str:
    """Restart a calibrated agent with a fifth of its parts bad; returns its process id once it is armed."""
    file = machine.tree / f"etc/inspectd/{name}.toml"
    file.write_text(file.read_text().replace(f"good_frames = {ALL_GOOD}", "good_frames = 0"))
    before = main_pid(machine, name)
    machine.run("systemctl", "restart", unit(name))
    return await_armed(machine, name, other_than=before)


def unit(name: str) -> str:
    """The systemd unit of an agent."""
    return f"inspectd@{name}.service"


def status(machine: Machine, name: str) -> dict[str, Any]:
    """The output of `inspectd status --json`, as soon as the agent responds."""
    command = ["/opt/inspectd/bin/inspectd", "status", "--json", "--config", f"/etc/inspectd/{name}.toml"]
    outputs: list[str] = []

    def responded() -> bool:
        outputs.append(machine.attempt(*command))
        return bool(outputs[-1])

    machine.wait_until(responded, what=f"a response of {name}", facts=lambda: machine.journal(unit(name))[-3000:])
    found: dict[str, Any] = json.loads(outputs[-1])
    return found


def calibration(machine: Machine, name: str) -> str:
    """Id of the calibration in force."""
    return str(status(machine, name)["cameras"][name]["calibration"])


def main_pid(machine: Machine, name: str) -> str:
    """The agent's process id; "0" while there is none."""
    return machine.show(unit(name), "MainPID")["MainPID"]


def await_armed(machine: Machine, name: str, *, other_than: str = "0") -> str:
    """Wait until a process other than that one is armed; its id."""

    def armed() -> bool:
        found = machine.show(unit(name), "MainPID", "ActiveState", "StatusText")
        text = found.get("StatusText", "")
        return found.get("MainPID") not in ("0", other_than) and found["ActiveState"] == "active" and "armed" in text

    machine.wait_until(armed, what=f"{name} armed", facts=lambda: machine.journal(unit(name))[-3000:])
    return main_pid(machine, name)


def ready_at(machine: Machine, name: str) -> float:
    """When the unit became active, seconds on the monotonic clock, which a container shares with its host."""
    return int(machine.show(unit(name), "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"]) / 1e6


def report(what: str, seconds: float) -> None:
    """Print a time measured on this computer, with its load, for benchmarks/service.md; nothing is asserted."""
    print(f"\n{what}: {seconds:.1f} s (load {os.getloadavg()[0]:.1f})")


class Subscriber:
    """A subscriber as a PLC has one: a lasting session; alarms, status and state at QoS 1."""

    def __init__(self, machine: Machine, file: Path) -> None:
        self._machine = machine
        self._file = file

    def listen(self) -> Subscriber:
        """Subscribe until the machine goes down; called again, the session continues."""
        topics = [part for topic in TOPICS for part in ("-t", topic)]
        options = ["-h", "127.0.0.1", "-V", "5", "-q", "1", "-i", "plc", "-c", "-x", "3600", "-F", "%U %t %p"]
        self._machine.start("mosquitto_sub", *options, *topics, output=self._file)
        return self

    def documents(self, topic: str) -> Sequence[tuple[float, dict[str, Any]]]:
        """The documents of one topic, each with its time of arrival, seconds since 1970."""
        found = []
        for line in self._file.read_text(errors="replace").splitlines(keepends=True):
            at, _, rest = line.partition(" ")
            name, _, payload = rest.partition(" ")
            # The last line may not be complete yet.
            if name == topic and payload.endswith("\n"):
                found.append((float(at), json.loads(payload)))
        return found

    def alarms(self, name: str) -> Sequence[dict[str, Any]]:
        """The alarms of an agent, in the order of arrival."""
        return [document for _, document in self.documents(f"inspectd/{name}/{name}/alarm")]

    def phases(self, name: str, since: float) -> Sequence[str]:
        """The phases that an agent has published since then, seconds since 1970."""
        return [state["phase"] for at, state in self.documents(f"inspectd/{name}/{name}/state") if at >= since]

    def await_alarms(self, name: str, count: int) -> None:
        """Wait for so many alarms in all."""
        self._machine.wait_until(
            lambda: len(self.alarms(name)) >= count,
            what=f"{count} alarms of {name}",
            facts=lambda: self._machine.journal(unit(name))[-3000:],
        )

    def await_sequence(self, name: str, sequence: int) -> None:
        """Wait for an alarm with this sequence number, or a later one."""
        self._machine.wait_until(
            lambda: any(alarm["sequence"] >= sequence for alarm in self.alarms(name)),
            what=f"alarm {sequence} of {name}",
            facts=lambda: self._machine.journal(unit(name))[-3000:],
        )

    def missing(self, name: str) -> set[int]:
        """Sequence numbers that did not arrive, from 1 to the greatest that did."""
        sequences = {alarm["sequence"] for alarm in self.alarms(name)}
        return set(range(1, max(sequences) + 1)) - sequences
