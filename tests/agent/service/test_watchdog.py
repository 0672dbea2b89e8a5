"""Messages to systemd, received on a real socket, from a whole agent with a small model."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.service import Service
from agent.service.restart_delay import RestartDelay
from agent.service.sd_notify import Notifier
from agent.service.watchdog import STATUS_SECONDS, Watchdog
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import GOOD_PARTS, INSPECTD, running_service
from tests.support.notified import Manager


class Clock:
    """A clock that tests move."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.close()


def configure(tmp_path: Path, bundle: Bundle, source: str) -> Path:
    config = tmp_path / "line1.toml"
    config.write_text(settings_text(bundle.path, source))
    return config


@pytest.fixture
def run(tmp_path: Path, manager: Manager) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts `inspectd run` as systemd would, with its environment."""
    started: list[subprocess.Popen[str]] = []

    def runner(config: Path) -> subprocess.Popen[str]:
        variables = {**os.environ, "NOTIFY_SOCKET": manager.address, "RUNTIME_DIRECTORY": str(tmp_path)}
        command = [*INSPECTD, "run", "--config", str(config)]
        started.append(subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield runner
    for process in started:
        process.kill()
        process.communicate()


def test_ready_is_sent_with_the_first_frames_of_the_window(
    tmp_path: Path, tiny_bundle: Bundle, manager: Manager, run: Callable[[Path], subprocess.Popen[str]]
) -> None:
    process = run(configure(tmp_path, tiny_bundle, GOOD_PARTS))
    ready = manager.wait_for("READY=1")
    before = manager.messages[:ready]
    assert any(message.startswith("EXTEND_TIMEOUT_USEC=") for message in before)
    assert before[-1].startswith("STATUS=line1 calibrating")
    alive = manager.wait_for("WATCHDOG=1", after=ready)
    armed = manager.wait_for("STATUS=line1 armed", after=alive)
    assert "frames/s" in manager.messages[armed]
    assert not (tmp_path / "starts").exists(), "the next start need not wait"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=150)
    assert process.returncode == 0
    assert manager.receive()[-2:] == ["STOPPING=1", "STATUS=stopping"]


def test_lost_camera_extends_the_start_again_and_again(
    tmp_path: Path, tiny_bundle: Bundle, manager: Manager, run: Callable[[Path], subprocess.Popen[str]]
) -> None:
    """The agent is not ready, and does not give up either."""
    run(configure(tmp_path, tiny_bundle, 'kind = "camera"\ndevice = "/dev/inspectd-none"'))
    lost = manager.wait_for("STATUS=line1 camera lost")
    assert "/dev/inspectd-none" in manager.messages[lost]
    first = manager.wait_for("EXTEND_TIMEOUT_USEC=", after=lost)
    manager.wait_for("EXTEND_TIMEOUT_USEC=", after=first + 1)
    assert "READY=1" not in manager.messages


def test_folder_at_its_end_was_ready(
    tmp_path: Path,
    tiny_bundle: Bundle,
    good_parts: Path,
    manager: Manager,
    run: Callable[[Path], subprocess.Popen[str]],
) -> None:
    """A service that ends before it was ready counts as failed, and systemd would start it again."""
    process = run(configure(tmp_path, tiny_bundle, f'kind = "folder"\npath = "{good_parts}"'))
    process.communicate(timeout=150)
    assert process.returncode == 0
    assert "READY=1" in manager.receive()


def test_hung_engine_gets_no_keep_alive(tmp_path: Path, tiny_bundle: Bundle, manager: Manager) -> None:
    """Time passes and the main thread goes on, but the inspection thread makes no progress."""
    clock = Clock()
    watchdog = Watchdog(Notifier(manager.address), clock=clock)
    held, released = threading.Event(), threading.Event()
    with running_service(configure(tmp_path, tiny_bundle, GOOD_PARTS)) as service:
        check_until(watchdog, service, manager, "WATCHDOG=1")
        inspection = service.inspections[0]
        hang = threading.Thread(target=lambda: inspection.call(lambda: (held.set(), released.wait(60))))
        hang.start()
        try:
            assert held.wait(60)
            # The progress from before the hang.
            watchdog.check(service)
            known = len(manager.receive())
            for _ in range(10):
                clock.seconds += STATUS_SECONDS
                watchdog.check(service)
                while_held = manager.receive()[known:]
        finally:
            released.set()
            hang.join()
        assert "WATCHDOG=1" not in while_held
        assert len(while_held) == 10, "a status line each time"
        check_until(watchdog, service, manager, "WATCHDOG=1", after=known)


def test_reload_is_reported_from_begin_to_end(tmp_path: Path, tiny_bundle: Bundle, manager: Manager) -> None:
    """Ready again after a reload that failed, too. Before the agent is ready, READY=1 would end the start too early."""
    watchdog = Watchdog(Notifier(manager.address))
    with watchdog.reloading():
        pass
    assert manager.receive() == []
    with running_service(configure(tmp_path, tiny_bundle, GOOD_PARTS)) as service:
        check_until(watchdog, service, manager, "READY=1")
    known = len(manager.receive())
    with pytest.raises(ValueError, match="bad settings"), watchdog.reloading():
        raise ValueError("bad settings")
    assert [message.splitlines()[0] for message in manager.receive()[known:]] == ["RELOADING=1", "READY=1"]


def check_until(watchdog: Watchdog, service: Service, manager: Manager, message: str, *, after: int = 0) -> None:
    """Check as the main thread does, until this message is received."""
    for _ in range(3000):
        watchdog.check(service)
        if message in manager.receive()[after:]:
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"no {message}; received {manager.messages}")


def test_start_waits_longer_after_each_failure(tmp_path: Path, manager: Manager) -> None:
    waited: list[float] = []
    for _ in range(4):
        Watchdog(Notifier(manager.address), RestartDelay(tmp_path), sleep=waited.append).wait_before_start()
    assert waited == [1.0, 2.0]
    assert "STATUS=waiting 2 s: the last starts failed, see the log" in manager.receive()


def test_engine_that_is_built_extends_the_start_every_few_seconds(manager: Manager) -> None:
    clock = Clock()
    watchdog = Watchdog(Notifier(manager.address), clock=clock)
    for percent in range(100):
        clock.seconds += 1.0
        watchdog.engine_builds("line1", percent / 100, "tactics")
        messages = manager.receive()
    assert messages[0] == "EXTEND_TIMEOUT_USEC=1800000000"
    assert messages[1] == "STATUS=line1: building its engine, 0% (tactics)"
    assert len(messages) == 2 * 100 / STATUS_SECONDS


def test_without_a_service_manager_nothing_is_checked(tmp_path: Path) -> None:
    watchdog = Watchdog.from_environment({"RUNTIME_DIRECTORY": str(tmp_path)})
    assert not watchdog.enabled
    for _ in range(3):
        watchdog.wait_before_start()
    assert not (tmp_path / "starts").exists()
