"""A real systemd-timedated on a D-Bus of the tests' own, a real chronyd, and questions that nobody answers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.clock import kernel_synchronised
from agent.core.clock.time_service import KEPT_SECONDS, WAIT_SECONDS, LatestAnswer, ask_chronyd, ask_timedated
from tests.support.clocks import FakeClock

TIMEDATED = Path("/lib/systemd/systemd-timedated")
CHRONYD = shutil.which("chronyd", path=os.environ["PATH"] + ":/usr/sbin")

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_type="method_return"/>
<allow receive_type="method_call"/><allow receive_type="signal"/><allow receive_type="error"/></policy></busconfig>"""


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The socket of a D-Bus that libsystemd takes for the system's."""
    if shutil.which("dbus-daemon") is None or not TIMEDATED.exists() or os.getuid() != 0:
        pytest.skip("a D-Bus with systemd-timedated needs root: apt install dbus systemd")
    path = tmp_path / "bus"
    (tmp_path / "bus.conf").write_text(BUS.format(socket=path))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={path}")
    daemon = subprocess.Popen(["dbus-daemon", f"--config-file={tmp_path}/bus.conf", "--nofork", "--nopidfile"])
    wait_for(path)
    try:
        yield path
    finally:
        daemon.kill()
        daemon.wait()


def wait_for(path: Path) -> None:
    end = time.monotonic() + 20.0
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


def test_timedated_reports_the_state_of_the_kernel(bus: Path, tmp_path: Path) -> None:
    timedated = subprocess.Popen([TIMEDATED])
    try:
        end = time.monotonic() + 20.0
        while (answer := ask_timedated(tmp_path / "no-container")) is None and time.monotonic() < end:
            time.sleep(0.05)
        assert answer is not None
        assert kernel_synchronised() in (answer, None), "None in a container, which may not ask"
        (tmp_path / "container").touch()
        assert ask_timedated(tmp_path / "container") is (True if answer else None)
    finally:
        timedated.kill()
        timedated.wait()


def test_without_timedated_there_is_no_answer(bus: Path) -> None:
    assert ask_timedated() is None


def test_without_a_bus_there_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nothing")
    assert ask_timedated() is None


def test_bus_that_hangs_delays_one_caller_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bus that accepts and says nothing: the real client waits for its authentication."""
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "bus"))
        deaf.listen()
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
        latest = LatestAnswer(ask_timedated)
        started = time.monotonic()
        assert latest() is None
        assert latest() is None
        assert time.monotonic() - started < 2 * WAIT_SECONDS


@pytest.mark.parametrize(("directive", "wanted"), [("local stratum 10", True), ("", False)])
def test_chronyd_reports_whether_it_has_synchronised_the_clock(tmp_path: Path, directive: str, wanted: bool) -> None:
    """It does not touch the clock of this machine (`-x`). A local reference counts as one."""
    port = free_udp_port()
    if CHRONYD is None:
        pytest.skip("chronyd is not installed: apt install chrony")
    config = tmp_path / "chrony.conf"
    config.write_text(
        f"cmdport {port}\nport 0\nbindcmdaddress 127.0.0.1\nbindcmdaddress /\npidfile {tmp_path}/pid\n{directive}\n"
    )
    chronyd = subprocess.Popen([CHRONYD, "-x", "-d", "-u", "root", "-f", config], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20.0
        while (answer := ask_chronyd(("127.0.0.1", port))) is None and time.monotonic() < end:
            time.sleep(0.05)
        assert answer is wanted
    finally:
        chronyd.kill()
        chronyd.wait()


def test_without_chronyd_there_is_no_answer() -> None:
    assert ask_chronyd(("127.0.0.1", free_udp_port())) is None


@pytest.mark.parametrize("answer", [b"", b"hello", bytes(104), bytes(5) + b"!" * 200])
def test_answer_that_is_not_chronyds_is_none(answer: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=lambda: other.sendto(answer, other.recvfrom(1024)[1]))
        thread.start()
        assert ask_chronyd(other.getsockname()) is None
        thread.join(60)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_an_answer_counts_for_a_while_and_is_asked_for_again() -> None:
    clock, answers = FakeClock(), iter([False, True])
    latest = LatestAnswer(lambda: next(answers), clock.monotonic)
    assert latest() is False
    clock.seconds += KEPT_SECONDS - 1.0
    assert latest() is False
    clock.seconds += 1.0
    assert latest() is True


def test_callers_do_not_ask_at_the_same_time() -> None:
    asked, release = [], threading.Event()

    def ask() -> bool:
        asked.append(1)
        release.wait(10.0)
        return True

    latest = LatestAnswer(ask)
    assert latest() is None
    assert latest() is None
    release.set()
    assert asked == [1]
