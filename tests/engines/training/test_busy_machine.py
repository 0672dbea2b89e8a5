"""The time that a training waits for cores, as the system counts it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agent.cli.models.training_options import let_threads_sleep
from engines.training.busy_machine import CoreTime, warn_of_waiting


def write(tasks: Path, counts: dict[str, str]) -> CoreTime:
    for name, line in counts.items():
        (tasks / name).mkdir(parents=True, exist_ok=True)
        (tasks / name / "schedstat").write_text(line)
    return CoreTime.now(tasks)


def test_the_share_of_waiting_is_that_of_all_threads(tmp_path: Path) -> None:
    before = write(tmp_path, {"1": "1000000000 500000000 7\n", "2": "0 0 0\n"})
    after = write(tmp_path, {"1": "2000000000 1500000000 9\n", "2": "1000000000 5000000000 3\n"})
    assert after.waiting_since(before) == pytest.approx(6 / 8)
    assert after.waiting_since(after) == 0.0


def test_a_system_that_counts_nothing_gives_no_warning(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    assert CoreTime.now(tmp_path) == CoreTime.now(tmp_path / "nowhere") == (0.0, 0.0)
    assert warn_of_waiting(CoreTime(0.0, 0.0).waiting_since(CoreTime(0.0, 0.0)), 126) == ()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system counts no waiting time")
def test_this_system_counts_the_work_of_this_process() -> None:
    before, end = CoreTime.now(), time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert CoreTime.now().ran - before.ran >= 0.15


def test_pytorch_waits_asleep_and_settings_of_a_person_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "100")
    let_threads_sleep()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]) == ("passive", "100")
