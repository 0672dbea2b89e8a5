"""Waiting for the processes of a demo, and stopping them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.tools.demo.processes import MAX_FRAMES_TO_ARM, DemoProcesses, wait_for
from agent.tools.demo.stage import prepare_stage


class Clock:
    """Seconds that pass only during a sleep."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_wait_for_returns_the_first_result() -> None:
    clock = Clock()
    results = iter([None, None, "armed"])
    assert wait_for(lambda: next(results), 1.0, "late", clock=clock, sleep=clock.sleep) == "armed"
    assert clock.now == pytest.approx(100.2)


def test_wait_for_fails_after_its_timeout() -> None:
    clock = Clock()
    with pytest.raises(Permanent, match="the agent was not armed in time"):
        wait_for(lambda: None, 5.0, "the agent was not armed in time", clock=clock, sleep=clock.sleep)
    assert clock.now == pytest.approx(105.1)


def test_agent_that_ends_early_is_reported_with_its_last_log_line(tmp_path: Path) -> None:
    """A real agent whose bundle is missing."""
    stage = prepare_stage(tmp_path / "out", "camera", seed=0)
    stage.settings.write_text(stage.settings.read_text().replace("simulator-camera.bundle", "none.bundle"))
    with DemoProcesses(stage, print) as processes:
        processes.start_agent()
        with pytest.raises(
            Permanent, match=r"the agent ended with exit code 1: inspectd: .*none.bundle: found nothing"
        ):
            processes.wait_until_armed()


@pytest.fixture
def calibrating(tmp_path: Path) -> Iterator[DemoProcesses]:
    """A demo whose agent runs; what it answers is the test's matter."""
    with DemoProcesses(prepare_stage(tmp_path / "out", "camera", seed=0), print) as processes:
        processes._agent = processes._start("agent", [sys.executable, "-c", "import time; time.sleep(600)"])
        yield processes


def answer(monkeypatch: pytest.MonkeyPatch, states: Iterator[dict[str, object]]) -> None:
    def ask(path: Path, command: str) -> dict[str, object]:
        return {"cameras": {"line1": next(states)}}

    monkeypatch.setattr("agent.tools.demo.processes.ask", ask)
    monkeypatch.setattr("agent.tools.demo.processes.PROGRESS_TIMEOUT_SECONDS", 0.3)


def test_slow_agent_is_waited_for_as_long_as_it_scores(
    calibrating: DemoProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second in all, where the longest wait for a frame is 0.3 s."""
    states = [{"phase": "calibrating", "frames": frames} for frames in (0, 0, 0, 1, 1, 1, 2, 2, 2)]
    answer(monkeypatch, iter([*states, {"phase": "armed", "frames": 2}]))
    assert calibrating.wait_until_armed()["phase"] == "armed"


def test_agent_that_scores_nothing_is_given_up(calibrating: DemoProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, repeat({"phase": "calibrating", "frames": 7}))
    with pytest.raises(Permanent, match=r"the agent was not armed in time; see .*out/logs/agent.log"):
        calibrating.wait_until_armed()


def test_agent_that_rejects_its_window_is_given_up_with_the_reason(
    calibrating: DemoProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, ({"phase": "refused", "frames": 100 * i, "reason": "bad parts"} for i in count()))
    with pytest.raises(Permanent, match=f"not armed after {MAX_FRAMES_TO_ARM + 100} frames: bad parts"):
        calibrating.wait_until_armed()


def test_all_processes_are_stopped_if_the_demo_fails(tmp_path: Path) -> None:
    started: list[subprocess.Popen[str]] = []

    def fail() -> None:
        with DemoProcesses(prepare_stage(tmp_path / "out", "camera", seed=0), print) as processes:
            for name in ("one", "two"):
                started.append(processes._start(name, [sys.executable, "-c", "import time; time.sleep(600)"]))
            assert [process.poll() for process in started] == [None, None]
            raise KeyError(name)

    with pytest.raises(KeyError):
        fail()
    assert [process.returncode for process in started] == [-15, -15]
