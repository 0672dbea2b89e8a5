"""A whole agent, a broker, the page, and Debian's Chromium."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import Starter, agent_processes, await_state, is_armed
from tests.support.broker import Mosquitto, wait_until
from tests.support.page import PASSWORD, Page, running_page

CHROMIUM = shutil.which("chromium")

# A fifth of the parts is bad, so that there are alarms at once.
BAD_PARTS = 'kind = "simulator"\nframes_per_second = 20.0\ngood_frames = 100\ndefect_rate = 0.2'

# With results of parts, as most cameras have them.
PARTS = "[cameras.line1.parts]\nframes_per_part = 1"

# The page's own listener comes first: when this is over, the screen before has gone.
GO = """address => new Promise((done) => {
  if (location.hash === address) { done(); return; }
  addEventListener("hashchange", () => done(), { once: true });
  location.hash = address;
})"""

SIZES = {"phone": (390, 844), "panel": (1024, 600), "uhd": (3840, 2160)}


@dataclass
class Line:
    """A running agent with its page, and how to stop and start it."""

    page: Page
    broker: Mosquitto
    socket: Path
    config: Path
    start: Starter
    agent: subprocess.Popen[str]


@dataclass
class Tab:
    """A browser's tab on the page, and what its console has reported."""

    tab: Any
    faults: list[str] = field(default_factory=list)

    def log_in(self, person: str) -> Tab:
        self.tab.fill("#name", person)
        self.tab.fill("#password", PASSWORD)
        self.tab.press("#password", "Enter")
        self.tab.wait_for_selector("nav")
        return self

    def go(self, screen: str) -> Tab:
        """Opens a screen; nothing of the one before is left."""
        self.tab.evaluate(GO, f"#/{screen}")
        return self


@pytest.fixture(scope="package")
def line(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Line]:
    """An agent that has judged parts and raised an alarm."""
    directory = tmp_path_factory.mktemp("page")
    broker = Mosquitto(directory / "broker").start()
    config = directory / "inspectd.toml"
    config.write_text(settings_text(tiny_bundle.path, BAD_PARTS, url=broker.url, sections=PARTS))
    socket = directory / "state" / "control.sock"
    try:
        with running_page(config) as page, agent_processes(config) as start:
            agent = start()
            await_state(socket, is_armed)
            wait_until(lambda: ask(socket, "alarms/list", limit=1)["alarms"], what="an alarm")
            yield Line(page, broker, socket, config, start, agent)
    finally:
        broker.end()


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Chromium; skipped where it or Playwright is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


def _is_fault(entry: Any) -> bool:
    """An alarm that the agent raised while it was killed has no image."""
    return bool(entry.type == "error" and "/images/" not in entry.location["url"])


@pytest.fixture
def open_tab(line: Line, browser: Any) -> Iterator[Callable[..., Tab]]:
    """Opens the page, at one of `SIZES`."""
    with tab_opener(browser, line.page) as opened:
        yield opened


@contextmanager
def tab_opener(browser: Any, page: Page) -> Iterator[Callable[..., Tab]]:
    """What opens a page at one of `SIZES`, in a browser's window of its own."""
    contexts = []

    def opened(size: str = "panel", *, dark: bool = False, language: str = "en", touch: bool = False) -> Tab:
        width, height = SIZES[size]
        scheme = "dark" if dark else "light"
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, locale=language, has_touch=touch
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        made = Tab(context.new_page())
        made.tab.on("pageerror", lambda error: made.faults.append(str(error)))
        made.tab.on("console", lambda entry: made.faults.append(entry.text) if _is_fault(entry) else None)
        made.tab.goto(f"http://127.0.0.1:{page.port}/")
        made.tab.wait_for_selector("#name")
        return made

    try:
        yield opened
    finally:
        for context in contexts:
            context.close()
