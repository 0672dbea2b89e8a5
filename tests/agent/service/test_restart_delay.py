"""The delay before a start grows while starts fail, and only then."""

from __future__ import annotations

from pathlib import Path

from agent.service.restart_delay import RestartDelay


def start(directory: Path | None, *, inspects: bool = False) -> float:
    """A start of an agent that is killed afterwards; returns the delay before it."""
    restarts = RestartDelay(directory)
    delay = restarts.begin()
    if inspects:
        restarts.reset()
    return delay


def test_delay_grows_with_every_failed_start(tmp_path: Path) -> None:
    delays = [start(tmp_path) for _ in range(12)]
    assert delays[:6] == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0]
    assert delays[-1] == 60.0


def test_agent_that_is_killed_while_it_inspects_starts_at_once(tmp_path: Path) -> None:
    for _ in range(4):
        start(tmp_path)
    assert start(tmp_path, inspects=True) > 0
    assert [start(tmp_path, inspects=True) for _ in range(5)] == [0.0] * 5


def test_without_a_directory_there_is_no_delay() -> None:
    assert [start(None) for _ in range(5)] == [0.0] * 5


def test_unreadable_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "starts").write_text("many")
    assert start(tmp_path) == 0.0
    assert start(tmp_path / "missing") == 0.0
