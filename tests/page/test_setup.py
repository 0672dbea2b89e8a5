"""From the first image to an armed camera, and from a preview to a new threshold and back: on the page alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.agent.commands.test_review import write_chequers
from tests.page.conftest import Line, Tab, tab_opener
from tests.page.test_screens import check
from tests.support.agent_settings import settings_text
from tests.support.agents import agent_processes, await_state, is_armed
from tests.support.broker import Mosquitto, wait_until
from tests.support.page import running_page

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]

WINDOW = 100


@pytest.fixture
def new_line(tmp_path: Path, tiny_bundle: Bundle) -> Iterator[Line]:
    """An agent whose model was trained on other parts than its camera shows."""
    write_chequers(tmp_path / "inbox", WINDOW)
    broker = Mosquitto(tmp_path / "broker").start()
    config = tmp_path / "inspectd.toml"
    source = f'kind = "folder"\nfollow = true\npath = "{tmp_path / "inbox"}"'
    config.write_text(settings_text(tiny_bundle.path, source, url=broker.url))
    try:
        with running_page(config) as page, agent_processes(config) as start:
            yield Line(page, broker, tmp_path / "state" / "control.sock", config, start, start())
    finally:
        broker.end()


def test_first_run_with_a_doubtful_window_is_decided_and_ends_armed(new_line: Line, browser: Any) -> None:
    with tab_opener(browser, new_line.page) as open_tab:
        opened = open_tab().log_in("anna").go("setup")
        opened.tab.wait_for_selector(".steps li.here:has-text('Check the window')", timeout=120_000)
        opened.tab.wait_for_selector("text=The window does not fit the model as a whole.")
        images = "[...document.querySelectorAll('.suspects img')]"
        assert opened.tab.evaluate(f"{images}.length") > 10
        opened.tab.wait_for_function(f"() => {images}.every(image => image.naturalWidth > 0)")
        opened.tab.wait_for_selector("nav a[href='#/training']")
        # The agent has started after the page, and its camera after the agent.
        opened.faults.clear()
        check(opened, "window-panel")
        opened.tab.click("button:text-is('Discard the window and start again')")
        opened.tab.wait_for_selector(".steps li.here:has-text('Learn good parts')", timeout=60_000)
        inbox = new_line.config.parent / "inbox"
        for path in sorted(inbox.iterdir()):
            shutil.copy(path, inbox / f".{path.name}")
            (inbox / f".{path.name}").rename(inbox / f"again-{path.name}")
        opened.tab.click("button:text-is('All parts are good: arm')", timeout=120_000)
        opened.tab.wait_for_selector(".steps li.here:has-text('Armed')", timeout=60_000)
        opened.tab.wait_for_selector(".now .promise:has-text('false alarm')")
        assert await_state(new_line.socket, is_armed)["threshold"] is not None
        entries = ask(new_line.socket, "audit/list", limit=20)["entries"]
        decisions = [entry["by"] for entry in entries if entry["action"] == "calibration/review"]
        assert decisions == ["anna (page)"] * 2


def test_preview_shows_the_alarms_that_would_fall_away_and_is_rolled_back(line: Line, open_tab: OpenTab) -> None:
    """A window that takes every image, bad parts too, makes a threshold that is too high."""
    await_state(line.socket, is_armed)
    wait_until(lambda: ask(line.socket, "alarms/list", limit=5)["counts"]["alarms"] >= 5, seconds=90, what="alarms")
    before = ask(line.socket, "calibration/list", "line1")["active"]
    opened = open_tab().log_in("anna").go("setup")
    opened.tab.fill("#frames", "200")
    opened.tab.check("label:has-text('Take every image') >> input")
    opened.tab.click("button:text-is('Start')")
    opened.tab.wait_for_selector("button:text-is('Activate')", timeout=120_000)
    opened.tab.wait_for_selector("h3:has-text('would not have been raised')")
    opened.tab.wait_for_selector(".card:has(button:text-is('Activate')) .alarm img")
    check(opened, "preview-panel")
    assert ask(line.socket, "calibration/list", "line1")["active"] == before, "a preview changes nothing"
    opened.tab.click("button:text-is('Activate')")
    wait_until(lambda: ask(line.socket, "calibration/list", "line1")["active"] != before, what="the new threshold")
    # The list as it was before has one row less, and an earlier calibration below the one in force.
    known = len(ask(line.socket, "calibration/list", "line1")["calibrations"])
    opened.tab.wait_for_selector(f".setup table tbody tr:nth-child({known})")
    opened.tab.click(".setup table tr.active:first-child + tr button")
    wait_until(lambda: ask(line.socket, "calibration/list", "line1")["active"] == before, what="the one before")
