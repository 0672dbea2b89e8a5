"""sd_notify over real sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
    assert notifier.listening
    notifier.extend_timeout(1.5)
    notifier.ready()
    notifier.status("line1 armed,\n20.0 frames/s")
    notifier.watchdog()
    notifier.stopping()
    wanted = ["EXTEND_TIMEOUT_USEC=1500000", "READY=1", "STATUS=line1 armed, 20.0 frames/s", "WATCHDOG=1", "STOPPING=1"]
    assert manager.hear() == wanted


def test_reloading_carries_the_monotonic_time(manager: Manager) -> None:
    """systemd takes the end of the reload for an old one where the time is missing (sd_notify(3))."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(manager.address).reloading()
    first, second = manager.hear()[0].splitlines()
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:9999"}])
def test_without_systemd_nothing_is_sent(environment: dict[str, str]) -> None:
    notifier = Notifier.from_environment(environment)
    assert not notifier.listening
    notifier.ready()


def test_a_manager_that_went_away_is_no_error(tmp_path: Path) -> None:
    manager = Manager(tmp_path / "notify")
    notifier = Notifier(manager.address)
    notifier.ready()
    manager.close()
    notifier.watchdog()
    (tmp_path / "notify").unlink()
    notifier.watchdog()


def test_a_manager_that_does_not_listen_does_not_hold_up_inspection(manager: Manager) -> None:
    """Its queue is full after a few hundred datagrams; then messages are dropped, not waited for without end."""
    notifier = Notifier(manager.address)
    for _ in range(400):
        started = time.monotonic()
        notifier.watchdog()
        if time.monotonic() - started > 0.3:
            break
    else:
        pytest.fail("the queue never filled: the test shows nothing")
    manager.hear()
    notifier.ready()
    assert manager.hear()[-1] == "READY=1"
