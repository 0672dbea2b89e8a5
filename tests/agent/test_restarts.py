"""The delay between starts grows while they fail, and only then."""

from __future__ import annotations

from pathlib import Path

from agent.restarts import Restarts


def start(directory: Path | None, *, healthy_seconds: float = 0.0) -> float:
    """One life of the agent that ends badly after so many seconds of inspection; the delay before it."""
    restarts = Restarts(directory)
    delay = restarts.begin()
    restarts.healthy(healthy_seconds)
    return delay


def test_the_delay_grows_with_every_start_that_fails(tmp_path: Path) -> None:
    delays = [start(tmp_path) for _ in range(12)]
    assert delays[:6] == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0]
    assert delays[-1] == 60.0


def test_a_kill_after_a_good_start_costs_nothing(tmp_path: Path) -> None:
    for _ in range(4):
        start(tmp_path)
    assert start(tmp_path, healthy_seconds=31.0) > 0
    assert [start(tmp_path, healthy_seconds=31.0) for _ in range(5)] == [0.0] * 5


def test_a_clean_end_is_forgotten(tmp_path: Path) -> None:
    for _ in range(4):
        restarts = Restarts(tmp_path)
        assert restarts.begin() == 0.0
        restarts.forget()


def test_without_a_directory_there_is_no_delay() -> None:
    assert [start(None) for _ in range(5)] == [0.0] * 5


def test_a_file_that_makes_no_sense_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "starts").write_text("many")
    assert start(tmp_path) == 0.0
    assert start(tmp_path / "missing") == 0.0
