"""Progress off a terminal: a line now and then; on a terminal: a bar that leaves nothing behind."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from agent.cli.terminal.progress import ProgressLines


def test_progress_of_a_long_task_is_a_line_now_and_then() -> None:
    now, lines = [100.0], list[str]()
    report = ProgressLines("train", lines.append, lambda: now[0])
    for second in range(32):
        now[0] = 100.0 + second
        report(second / 32.0, f"step {second}")
    assert lines == [
        "train: 3 %, step 1\n",
        "train: 34 %, step 11\n",
        "train: 66 %, step 21\n",
        "train: 97 %, step 31\n",
    ]


def test_progress_of_a_short_task_is_silent() -> None:
    lines: list[str] = []
    report = ProgressLines("train", lines.append, lambda: 0.0)
    report(0.5, "half")
    report(1.0, "done")
    assert lines == []


# A task long enough for one line.
TASK = """
import sys, time
from agent.cli.terminal.progress import progress_bar
with progress_bar("weigh") as report:
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        report(0.5, "part 7")
        time.sleep(0.01)
"""


def test_progress_off_a_terminal_is_written_to_stderr_while_the_task_runs() -> None:
    done = subprocess.run([sys.executable, "-c", TASK], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "weigh: 50 %, part 7\n")


def test_progress_on_a_terminal_is_a_bar() -> None:
    controller, terminal = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        subprocess.run([sys.executable, "-c", TASK], stderr=terminal, timeout=60, check=True, env=environment)
        shown = os.read(controller, 100_000).decode()
    finally:
        os.close(controller)
        os.close(terminal)
    assert "weigh: part 7" in shown
    assert "weigh: 50 %, part 7" not in shown
