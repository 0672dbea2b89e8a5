"""The processes of a demo: broker, subscriber and agent, each with a log file."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from agent.commands import ask
from agent.core.errors import Permanent, Temporary
from agent.tools.demo.stage import CAMERA, SITE, DemoStage
from agent.tools.watcher import OnLine

T = TypeVar("T")

# Starting Python with ONNX Runtime takes one second here, and ten times as long on a small board.
START_TIMEOUT_SECONDS = 60.0

# Longest time without a newly scored frame until the agent is armed. Opening the engine alone took 100 s on two cores
# that twenty other processes wanted.
PROGRESS_TIMEOUT_SECONDS = 120.0

# The window takes 400 frames. An agent that is not armed after so many will not be.
MAX_FRAMES_TO_ARM = 4_000

# The subscriber saves the last images within milliseconds on an idle machine.
LAST_MESSAGE_TIMEOUT_SECONDS = 5.0


class DemoProcesses:
    """Starts the processes one by one, and stops all of them at the end of the `with` block, whatever happens in it."""

    def __init__(self, stage: DemoStage, on_line: OnLine) -> None:
        """`on_line` takes each line that the subscriber prints, on a thread of its own."""
        self._stage = stage
        self._on_line = on_line
        self._agent_has_stopped = threading.Event()
        self._stack = ExitStack()

    def __enter__(self) -> DemoProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_broker(self) -> None:
        """Start Mosquitto and wait until it accepts connections. Raises Permanent if it is missing or fails."""
        self._start("mosquitto", [_mosquitto(), "-c", str(self._stage.broker_settings)])
        wait_for(self._broker_accepts, START_TIMEOUT_SECONDS, f"Mosquitto did not start; see {self._log('mosquitto')}")

    def start_subscriber(self) -> None:
        """Start `inspectd watch`, which saves the alarms."""
        command = _inspectd("watch", self._stage.url, "--out", str(self._stage.alarms))
        self._subscriber = self._start("watch", command, stdout=subprocess.PIPE)
        threading.Thread(target=self._forward_lines, daemon=True).start()

    def start_agent(self) -> None:
        """Start `inspectd run`."""
        self._agent = self._start("agent", _inspectd("run", "-c", str(self._stage.settings)))

    def start_page(self, person: str, password: str) -> None:
        """Make an account for the page, start `inspectd page`, and wait until it answers. Raises Permanent."""
        settings = str(self._stage.settings)
        command = _inspectd("page", "user", "add", person, "--role", "engineer", "--password-stdin", "-c", settings)
        done = subprocess.run(command, input=f"{password}\n", capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Permanent(done.stderr.strip().removeprefix("inspectd: ") or "the page has no account")
        page = self._start("page", _inspectd("page", "-c", settings))

        def answers() -> bool | None:
            if page.poll() is not None:
                raise Permanent(f"the page ended; see {self._log('page')}")
            return self._accepts(self._stage.page_port)

        wait_for(answers, START_TIMEOUT_SECONDS, f"the page did not start; see {self._log('page')}")

    def wait_until_armed(self) -> dict[str, Any]:
        """The camera's state once it is armed, however slow the machine is.

        Raises Permanent if the agent ends before, scores no frame for a while, or does not accept its window.
        """
        scored, late = -1, f"the agent was not armed in time; see {self._log('agent')}"
        while True:
            state = wait_for(partial(self._state_after, scored), PROGRESS_TIMEOUT_SECONDS, late)
            if state["phase"] == "armed":
                return state
            scored = state["frames"]
            if scored > MAX_FRAMES_TO_ARM:
                raise Permanent(f"the agent is not armed after {scored} frames: {state['reason']}")

    def let_run(self, seconds: float) -> None:
        """Let the agent inspect. Raises Permanent if it ends early."""
        try:
            self._agent.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise Permanent(f"the agent ended early with exit code {self._agent.returncode}; see {self._log('agent')}")

    def stop_agent(self) -> None:
        """Stop the agent, and wait until the subscriber has seen its last message."""
        _stop(self._agent)
        self._agent_has_stopped.wait(LAST_MESSAGE_TIMEOUT_SECONDS)
        _stop(self._subscriber)

    def _start(self, name: str, command: list[str], stdout: int | None = None) -> subprocess.Popen[str]:
        log = self._stack.enter_context(self._log(name).open("w", encoding="utf-8"))
        process = subprocess.Popen(command, stdout=log if stdout is None else stdout, stderr=log, text=True)
        self._stack.callback(_stop, process)
        return process

    def _forward_lines(self) -> None:
        assert self._subscriber.stdout is not None
        for line in self._subscriber.stdout:
            self._on_line(line.rstrip("\n"))
            if line.strip() == f"{SITE}: agent stopped":
                self._agent_has_stopped.set()

    def _broker_accepts(self) -> bool | None:
        return self._accepts(self._stage.port)

    def _accepts(self, port: int | None) -> bool | None:
        try:
            socket.create_connection(("127.0.0.1", port or 0), 1.0).close()
        except OSError:
            return None
        return True

    def _log(self, name: str) -> Path:
        return self._stage.logs / f"{name}.log"

    def _state_after(self, scored: int) -> dict[str, Any] | None:
        """The camera's state once it is armed or has scored more than `scored` frames; None until then."""
        if self._agent.poll() is not None:
            raise Permanent(f"the agent ended with exit code {self._agent.returncode}: {self._last_log_line()}")
        try:
            state: dict[str, Any] = ask(self._stage.control_socket, "status")["cameras"][CAMERA]
        except Temporary:
            return None
        return state if state["phase"] == "armed" or state["frames"] > scored else None

    def _last_log_line(self) -> str:
        lines = self._log("agent").read_text(encoding="utf-8").splitlines()
        return lines[-1] if lines else "its log is empty"


def wait_for(
    check: Callable[[], T | None],
    timeout_seconds: float,
    failure: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """The first result of `check` that is not None, checked ten times a second. Raises Permanent after the timeout."""
    end = clock() + timeout_seconds
    while (result := check()) is None:
        if clock() > end:
            raise Permanent(failure)
        sleep(0.1)
    return result


def _inspectd(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "agent.cli", *arguments]


def _mosquitto() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Permanent("mosquitto is not installed; wanted the broker for the demo: apt-get install mosquitto")
    return found


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
