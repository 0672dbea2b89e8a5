"""Whole agents for tests: in this process, or as the program that a user starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.commands import ask
from agent.core.errors import InspectdError
from agent.service import Service
from agent.settings import load_settings
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import NO_BROKER, settings_text
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.parts import draw_part, write_parts

INSPECTD = [sys.executable, "-m", "agent.cli"]

# Good parts at a rate that fills a window in less than a second.
GOOD_PARTS = 'kind = "simulator"\nframes_per_second = 100.0\ngood_frames = 100000'

Starter = Callable[..., subprocess.Popen[str]]


@contextmanager
def running_service(config: Path) -> Iterator[Service]:
    """An agent in this process, from `start` to `shut_down`."""
    service = Service(load_settings(config), read_again=lambda: load_settings(config))
    service.start()
    try:
        yield service
    finally:
        service.shut_down()


@contextmanager
def agent_processes(config: Path) -> Iterator[Starter]:
    """Starts `inspectd run` on a settings file, with further arguments; kills what still runs at the end."""
    running: list[subprocess.Popen[str]] = []

    def start(*more: str) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen([*INSPECTD, "run", "--config", str(config), *more], **pipes, text=True))
        return running[-1]

    try:
        yield start
    finally:
        for process in running:
            process.kill()
            process.communicate()


def inspectd(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one command of the command line to its end."""
    command = [*INSPECTD, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def await_status(
    socket: Path, condition: Callable[[dict[str, Any]], bool], timeout_seconds: float = 120.0
) -> dict[str, Any]:
    """The agent's status once it fulfils a condition."""
    end, found = time.monotonic() + timeout_seconds, {}
    while time.monotonic() < end:
        try:
            found = ask(socket, "status")
        except InspectdError:
            found = {}
        if found and condition(found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_seconds} s; last status {found}")


def await_state(
    socket: Path, condition: Callable[[dict[str, Any]], bool], timeout_seconds: float = 120.0
) -> dict[str, Any]:
    """The state of camera `line1` once it fulfils a condition."""
    found = await_status(socket, lambda status: condition(status["cameras"]["line1"]), timeout_seconds)
    state: dict[str, Any] = found["cameras"]["line1"]
    return state


def await_online(broker: Mosquitto) -> None:
    """Wait until the agent is at the broker. It has subscribed to its commands then; before, they are lost."""
    subscriber = Subscriber(broker, "inspectd/plant/status")
    try:
        wait_until(lambda: subscriber.messages and b'"online"' in subscriber.messages[-1].payload, what="the agent")
    finally:
        subscriber.close()


def is_armed(state: dict[str, Any]) -> bool:
    """Whether a camera judges frames."""
    return state["phase"] == "armed" and state["frames"] > 0


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Send SIGTERM; returns the exit code and the log."""
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=150)
    return process.returncode, log


def configure(tmp_path: Path, bundle: Bundle, source: str, url: str = NO_BROKER, **more: str) -> Path:
    """Write the settings `tmp_path / "inspectd.toml"`; its path."""
    config = tmp_path / "inspectd.toml"
    config.write_text(settings_text(bundle.path, source, url=url, **more))
    return config


def socket_path(tmp_path: Path) -> Path:
    """The control socket of an agent with these settings."""
    return tmp_path / "state" / "control.sock"


def write_good_and_bad_parts(folder: Path, *, good: int, bad: int) -> None:
    """Images of good parts, then of bad ones with a bright chequered square."""
    write_parts(folder, good, seed=7)
    rng = np.random.default_rng(8)
    for index in range(bad):
        image = draw_part(rng)
        image[8:20, 8:20] = 255 * ((np.indices((12, 12)).sum(0) // 2) % 2)
        assert cv2.imwrite(str(folder / f"z{index:03}.png"), image)
