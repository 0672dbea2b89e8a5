"""A whole agent with a page beside it, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import await_state, is_armed, running_service
from tests.support.broker import Mosquitto, Subscriber
from tests.support.page import Page, running_page

# A fifth of the parts is bad, so that there are alarms at once.
BAD_PARTS = 'kind = "simulator"\nframes_per_second = 30.0\ngood_frames = 100\ndefect_rate = 0.2'


@dataclass(frozen=True)
class Line:
    """A running agent, its page and its broker."""

    page: Page
    socket: Path
    broker: Mosquitto
    directory: Path

    def verdicts(self) -> Subscriber:
        """A subscriber to people's verdicts."""
        return Subscriber(self.broker, "inspectd/plant/+/alarm/+/verdict")


@pytest.fixture(scope="package")
def line(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Line]:
    """An agent that judges parts and raises alarms. Tests leave its camera as they find it."""
    for library in ("starlette", "uvicorn", "argon2"):
        pytest.importorskip(library, reason="the extra page is not installed")
    directory = tmp_path_factory.mktemp("page")
    broker = Mosquitto(directory / "broker").start()
    config = directory / "inspectd.toml"
    config.write_text(settings_text(tiny_bundle.path, BAD_PARTS, url=broker.url))
    try:
        with running_service(config) as service, running_page(config) as page:
            await_state(service.settings.socket_path, is_armed)
            yield Line(page, service.settings.socket_path, broker, directory)
    finally:
        broker.end()
