"""What the agent tells systemd, heard over a real socket; the agent is whole, its model small."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.service.restart_delay import RestartDelay
from agent.service.sd_notify import Notifier
from agent.service.service import Service
from agent.service.watchdog import Watchdog
from agent.settings.load import load_settings
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.notified import Manager

SIMULATOR = 'kind = "simulator"\nframes_per_second = 50.0\ngood_frames = 100000'


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.close()


def configure(tmp_path: Path, bundle: Bundle, source: str) -> Path:
    config = tmp_path / "line1.toml"
    config.write_text(settings_text(bundle.path, source))
    return config


def environment(manager: Manager, tmp_path: Path) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.address, "RUNTIME_DIRECTORY": str(tmp_path)}


@pytest.fixture
def run(tmp_path: Path, manager: Manager) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts `inspectd run` as systemd would, with its environment."""
    started: list[subprocess.Popen[str]] = []

    def runner(config: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agent.cli", "run", "--config", str(config)]
        variables = {**os.environ, **environment(manager, tmp_path)}
        started.append(subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield runner
    for process in started:
        process.kill()
        process.communicate()


def test_ready_comes_with_the_first_frames_that_are_learned_from(
    tmp_path: Path, tiny_bundle: Bundle, manager: Manager, run: Callable[[Path], subprocess.Popen[str]]
) -> None:
    process = run(configure(tmp_path, tiny_bundle, SIMULATOR))
    ready = manager.wait_for("READY=1")
    before = manager.messages[:ready]
    assert any(message.startswith("EXTEND_TIMEOUT_USEC=") for message in before)
    assert before[-1].startswith("STATUS=line1 calibrating")
    fed = manager.wait_for("WATCHDOG=1", after=ready)
    armed = manager.wait_for("STATUS=line1 armed", after=fed)
    assert "frames/s" in manager.messages[armed]
    assert not (tmp_path / "starts").exists(), "a start that led to inspection leaves nothing to wait for"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert manager.hear()[-2:] == ["STOPPING=1", "STATUS=stopping"]


def test_a_lost_camera_is_waited_for_and_said(
    tmp_path: Path, tiny_bundle: Bundle, manager: Manager, run: Callable[[Path], subprocess.Popen[str]]
) -> None:
    """Not ready, and not given up either: the start is extended for as long as the agent tries."""
    run(configure(tmp_path, tiny_bundle, 'kind = "camera"\ndevice = "/dev/inspectd-none"'))
    lost = manager.wait_for("STATUS=line1 camera lost")
    assert "is it plugged in?" in manager.messages[lost]
    first = manager.wait_for("EXTEND_TIMEOUT_USEC=", after=lost)
    manager.wait_for("EXTEND_TIMEOUT_USEC=", after=first + 1)
    assert "READY=1" not in manager.messages


def test_a_hung_engine_is_not_fed(tmp_path: Path, tiny_bundle: Bundle, manager: Manager) -> None:
    """The inspection thread stands still: the main thread goes on, and still nothing reaches the watchdog."""
    settings = load_settings(configure(tmp_path, tiny_bundle, SIMULATOR))
    supervision = Watchdog.from_environment(environment(manager, tmp_path))
    service = Service(settings, supervision)
    held, released = threading.Event(), threading.Event()
    service.start()
    try:
        look_until(service, manager, "WATCHDOG=1")
        inspection = service.inspections[0]
        hang = threading.Thread(target=lambda: inspection.call(lambda: (held.set(), released.wait(60))))
        hang.start()
        assert held.wait(20)
        supervision.look(service)
        known = len(manager.hear())
        for _ in range(40):
            threading.Event().wait(0.02)
            supervision.look(service)
        assert not [message for message in manager.hear()[known:] if message == "WATCHDOG=1"]
        released.set()
        hang.join()
        look_until(service, manager, "WATCHDOG=1", after=known)
    finally:
        released.set()
        service.shut_down()


def look_until(service: Service, manager: Manager, message: str, *, after: int = 0) -> None:
    """Looks, as the main thread does, until this is heard."""
    for _ in range(1500):
        service.supervision.look(service)
        if message in manager.hear()[after:]:
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"no {message}; heard {manager.messages}")


def test_a_folder_at_its_end_was_ready(
    tmp_path: Path,
    tiny_bundle: Bundle,
    good_parts: Path,
    manager: Manager,
    run: Callable[[Path], subprocess.Popen[str]],
) -> None:
    """systemd takes a service that ends before it was ready for a failed one, and would start it again."""
    process = run(configure(tmp_path, tiny_bundle, f'kind = "folder"\npath = "{good_parts}"'))
    process.communicate(timeout=60)
    assert process.returncode == 0
    manager.wait_for("READY=1", seconds=1.0)


def test_reload_is_said_and_ends_with_ready(tmp_path: Path, manager: Manager) -> None:
    supervision = Watchdog.from_environment(environment(manager, tmp_path))
    with supervision.reloading():
        pass
    assert manager.hear() == [], "a start that is not over would be taken for one that is"
    supervision._ready = True
    with pytest.raises(ValueError, match="bad settings"), supervision.reloading():
        raise ValueError("bad settings")
    assert [message.splitlines()[0] for message in manager.hear()] == ["RELOADING=1", "READY=1"]


def test_a_failed_start_is_waited_for_longer_each_time(tmp_path: Path, manager: Manager) -> None:
    slept: list[float] = []
    for _ in range(4):
        Watchdog(Notifier(manager.address), RestartDelay(tmp_path), sleep=slept.append).wait_before_start()
    assert slept == [1.0, 2.0]
    assert "STATUS=waiting 2 s: the last starts failed, see the log" in manager.hear()
