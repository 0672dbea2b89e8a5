"""A broker and the page; with two real agents, or with documents that a test publishes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import Starter, agent_processes, await_state, is_armed
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.documents import state, status
from tests.support.page import Page, running_fleet

# A tenth of the parts is bad, so that there are alarms at once.
BAD_PARTS = 'kind = "simulator"\nframes_per_second = 10.0\ngood_frames = 80\ndefect_rate = 0.1'

# Two agents start at the same time, also where other programs use the cores.
START_SECONDS = 180.0

Rows = dict[str, dict[str, Any]]


@dataclass
class Shown:
    """A page and its broker."""

    page: Page
    broker: Mosquitto
    directory: Path

    def wait_for(self, condition: Callable[[Rows], Any], what: str, seconds: float = 90.0) -> Rows:
        """The table by site, once it fulfils the condition."""
        client, found = self.page.client("vera"), {}

        def fulfilled() -> bool:
            found.clear()
            found.update({row["site"]: row for row in client.get("/api/cameras").document["cameras"]})
            return bool(condition(found))

        wait_until(fulfilled, seconds=seconds, what=what)
        return found

    def publisher(self) -> Subscriber:
        """A client of the broker that may write anything."""
        return Subscriber(self.broker, "nothing")


@dataclass
class Plant(Shown):
    """The agents `berlin` and `seoul`."""

    start_seoul: Starter
    seoul: subprocess.Popen[str]


@pytest.fixture(scope="package")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Without agents: the broker keeps a document or two of `berlin` and `seoul`."""
    _require_packages()
    directory = tmp_path_factory.mktemp("shown")
    broker = Mosquitto(directory / "broker", persistence=True).start()
    client = Subscriber(broker, "nothing")
    for site in ("berlin", "seoul"):
        client.publish(f"inspectd/{site}/status", status(site=site).to_bytes(), retain=True)
        client.publish(f"inspectd/{site}/line1/state", state(site=site).to_bytes(), retain=True)
    client.close()
    try:
        with running_fleet(directory, broker.url) as page:
            made = Shown(page, broker, directory)
            made.wait_for(lambda rows: len(rows) == 2, "both agents")
            yield made
    finally:
        broker.end()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Plant]:
    """Two real agents whose cameras are armed."""
    _require_packages()
    directory = tmp_path_factory.mktemp("plant")
    broker = Mosquitto(directory / "broker").start()
    configs = [_settings(directory, site, tiny_bundle, broker) for site in ("berlin", "seoul")]
    try:
        with agent_processes(configs[0]) as start, agent_processes(configs[1]) as start_seoul:
            start()
            seoul = start_seoul()
            for config in configs:
                await_state(config.parent / "state" / "control.sock", is_armed, START_SECONDS)
            with running_fleet(directory, broker.url) as page:
                yield Plant(page, broker, directory, start_seoul, seoul)
    finally:
        broker.end()


def _require_packages() -> None:
    for library in ("starlette", "uvicorn", "argon2", "sqlalchemy"):
        pytest.importorskip(library, reason="the extra fleet is not installed")


def _settings(directory: Path, site: str, bundle: Bundle, broker: Mosquitto) -> Path:
    folder = directory / site
    folder.mkdir()
    page = '[page]\naddress = "https://line.example:8470/"'
    text = settings_text(bundle.path, BAD_PARTS, url=broker.url, sections=page).replace('"plant"', f'"{site}"')
    config = folder / "inspectd.toml"
    config.write_text(f"{text}[cameras.line1.parts]\nframes_per_part = 1\n".replace("100 frames", "100 parts"))
    return config
