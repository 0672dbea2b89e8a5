"""A whole agent and a broker, for the tests that need both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agents import Starter, agent_processes
from tests.support.broker import Mosquitto


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts `inspectd run` with the settings `tmp_path / "inspectd.toml"`."""
    with agent_processes(tmp_path / "inspectd.toml") as starter:
        yield starter


@pytest.fixture
def broker(mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A real broker, running."""
    return mosquitto()
