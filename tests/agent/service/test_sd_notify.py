"""sd_notify over real sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.service.sd_notify import Notifier
from tests.support.notified import Manager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(
        tmp_path / "notify" if request.param == "path" else f"@inspectd-test-{tmp_path.name}-{id(tmp_path)}"
    )
    yield listening
    listening.close()


def test_messages_arrive_as_systemd_reads_them(manager: Manager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address})
    assert notifier.enabled
    notifier.extend_timeout(1.5)
    notifier.ready()
    notifier.status("line1 armed,\n20.0 frames/s")
    notifier.watchdog()
    notifier.stopping()
    wanted = ["EXTEND_TIMEOUT_USEC=1500000", "READY=1", "STATUS=line1 armed, 20.0 frames/s", "WATCHDOG=1", "STOPPING=1"]
    assert manager.receive() == wanted


def test_reloading_carries_the_monotonic_time(manager: Manager) -> None:
    """Without the time, systemd would not know which reload has ended (sd_notify(3))."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(manager.address).reloading()
    first, second = manager.receive()[0].splitlines()
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def open_sockets() -> set[str]:
    """Of this process; files that others of its threads open and close meanwhile are none."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return {each for each in found if each.startswith("socket:")}


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:9999"}])
def test_without_systemd_nothing_is_sent(environment: dict[str, str]) -> None:
    notifier = Notifier.from_environment(environment)
    before = open_sockets()
    notifier.ready()
    assert not notifier.enabled
    assert open_sockets() <= before, "no socket was opened"


def test_manager_that_ends_is_no_error_and_a_new_one_is_notified(tmp_path: Path) -> None:
    manager = Manager(tmp_path / "notify")
    notifier = Notifier(manager.address)
    notifier.ready()
    manager.close()
    notifier.watchdog()
    (tmp_path / "notify").unlink()
    notifier.watchdog()
    successor = Manager(tmp_path / "notify")
    notifier.watchdog()
    assert successor.receive() == ["WATCHDOG=1"]
    successor.close()


def test_manager_that_does_not_read_does_not_block_the_agent(manager: Manager) -> None:
    """Its queue is full after a few hundred datagrams; then each message is dropped after a timeout."""
    notifier = Notifier(manager.address)
    for _ in range(400):
        started = time.monotonic()
        notifier.watchdog()
        if time.monotonic() - started > 0.3:
            break
    else:
        pytest.fail("the queue never filled: the test shows nothing")
    manager.receive()
    notifier.ready()
    assert manager.receive()[-1] == "READY=1"
