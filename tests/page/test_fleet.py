"""The page for many agents: problems first, found and opened, at three sizes; screenshots are in `build/page`."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page.conftest import Tab, tab_opener
from tests.page.test_screens import check
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.documents import alarm, count, event, state, status
from tests.support.page import Page, running_fleet

pytestmark = pytest.mark.browser

BROKEN = {"since": "2026-03-01T12:00:00Z", "rate": 5.0, "text": "the promise is broken: about 5 false alarms per shift"}
MODEL = {"name": "housing", "sha256": "ab" * 32}

# By camera: what its state says.
CAMERAS: dict[str, dict[str, Any]] = {
    "berlin line1": {"phase": "blind", "reason": "the image is black"},
    "berlin line2": {"phase": "armed", "broken_promise": BROKEN, "model": MODEL, "product": "housing A"},
    "seoul line1": {"phase": "calibrating", "progress": {"frames": 120, "wanted": 300}},
    "seoul line2": {"phase": "armed", "model": MODEL, "drift": True},
    **{f"ulm line{number}": {"phase": "armed", "model": MODEL} for number in range(1, 30)},
}

# Number of cameras by severity, the highest first.
SEVERITIES = {3: 1, 2: 2, 1: 1, 0: 29}


class Plants:
    """The page, and a client that publishes what agents would."""

    def __init__(self, page: Page, broker: Mosquitto) -> None:
        self.page = page
        self.broker = broker
        self._client = Subscriber(broker, "nothing")
        self._states = {name: dict(fields) for name, fields in CAMERAS.items()}
        self._stopping = threading.Event()
        address = "https://seoul.example:8470/"
        for site in ("berlin", "seoul", "ulm"):
            self.publish(f"{site}/status", status(site=site, page=address if site == "seoul" else None))
        raised = alarm(site="berlin", camera="line2")
        self.publish("berlin/line2/alarm", raised, retain=False)
        self.publish(
            "berlin/line2/event", event("the scores have shifted", site="berlin", camera="line2"), retain=False
        )
        for name in CAMERAS:
            self.change(name)
        joined = count(180, 20, site="ulm", camera="parts/p1", cameras=["line1", "line2"])
        self.publish("ulm/parts/p1/count", joined)
        self._thread = threading.Thread(target=self._repeat)
        self._thread.start()

    def change(self, name: str, **changes: Any) -> None:
        """Publish the state of a camera with these changes."""
        self._states[name] = {**CAMERAS[name], **changes}
        self._publish_camera(name)

    def _publish_camera(self, name: str) -> None:
        site, camera = name.split()
        self.publish(f"{site}/{camera}/state", state(site=site, camera=camera, **self._states[name]))
        self.publish(f"{site}/{camera}/count", count(190, 10, site=site, camera=camera))

    def _repeat(self) -> None:
        """As agents do."""
        while not self._stopping.wait(5.0):
            for name in CAMERAS:
                self._publish_camera(name)

    def publish(self, topic: str, payload: Any, *, retain: bool = True) -> None:
        message = f"inspectd/{topic}", payload.to_bytes(), 0, retain
        self._client.client.publish(*message)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()


@pytest.fixture(scope="module")
def plants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plants]:
    directory = tmp_path_factory.mktemp("fleet")
    broker = Mosquitto(directory / "broker").start()
    try:
        with running_fleet(directory, broker.url, more='title = "All plants"') as page:
            client = page.client("vera")
            wait_until(lambda: client.get("/api/cameras").document["connected"], what="the connection")
            made = Plants(page, broker)
            try:
                wait_until(lambda: is_complete(page), what="what the agents have published")
                yield made
            finally:
                made.close()
    finally:
        broker.end()


def is_complete(page: Page) -> bool:
    """Whether the page shows the latest state of every camera, and the history has the alarm and a login."""
    client = page.client("anna")
    rows = [row for row in client.get("/api/cameras").document["cameras"] if not row.get("cameras")]
    known = Counter(row["severity"] for row in rows) == SEVERITIES
    return bool(known and client.get("/api/alarms").document["alarms"] and client.get("/api/logins").document["logins"])


@pytest.fixture
def open_fleet(plants: Plants, browser: Any) -> Iterator[Any]:
    with tab_opener(browser, plants.page) as open_tab:

        def opened(size: str = "panel", *, person: str = "anna", **more: Any) -> Tab:
            made = open_tab(size, **more).log_in(person)
            made.tab.wait_for_selector("table.fleet tbody tr")
            return made

        yield opened


def await_first(opened: Tab, *wanted: str) -> None:
    """Wait until these cameras are the first ones in the table."""
    wait_until(lambda: names(opened)[: len(wanted)] == list(wanted), what=f"{wanted} before all others")


def await_number(opened: Tab, cameras: int) -> None:
    """Wait until there are so many cameras in the table."""
    wait_until(lambda: opened.tab.locator(".opens").count() == cameras, what=f"{cameras} cameras that fit")


def names(opened: Tab) -> list[str]:
    """The cameras in the table, from above."""
    texts = opened.tab.locator(".opens > span").all_inner_texts()
    return [" ".join(reversed(re.split(r"\s*\n\s*", text.strip()))) for text in texts]


@pytest.mark.parametrize(
    ("size", "dark", "language"), [("phone", False, "en"), ("panel", True, "de"), ("uhd", False, "ko")]
)
def test_screens(open_fleet: Any, size: str, dark: bool, language: str) -> None:
    opened = open_fleet(size, dark=dark, language=language)
    check(opened, f"fleet-{size}")
    opened.tab.locator("tr", has_text="line2").first.locator(".opens").click()
    opened.tab.wait_for_selector(".inside .facts")
    check(opened, f"fleet-open-{size}")
    for screen in ("alarms", "logins"):
        opened.go(screen).tab.wait_for_selector("table.alarms tbody tr")
        check(opened, f"fleet-{screen}-{size}")


def test_problems_come_first_and_the_tiles_count_them(open_fleet: Any) -> None:
    opened = open_fleet()
    await_first(opened, "berlin line1", "berlin line2")
    tiles = [text.split("\n")[0] for text in opened.tab.locator(".tile").all_inner_texts()]
    assert tiles == [str(number) for number in SEVERITIES.values()]
    opened.tab.locator(".tile").nth(1).click()
    await_number(opened, 2)
    await_first(opened, "berlin line2", "seoul line2")


def test_cameras_are_found_sorted_and_filtered_and_the_address_keeps_it(open_fleet: Any) -> None:
    opened = open_fleet()
    opened.tab.keyboard.press("/")
    opened.tab.keyboard.type("black")
    await_number(opened, 1)
    opened.tab.fill("input[name=search]", "")
    opened.tab.select_option("select[name=site]", "ulm")
    await_number(opened, 30)
    opened.tab.click("th button:text-is('Camera')")
    opened.tab.wait_for_selector("th[aria-sort=ascending]:has-text('Camera')")
    opened.tab.click("th button:text-is('Camera')")
    opened.tab.wait_for_selector("th[aria-sort=descending]:has-text('Camera')")
    await_first(opened, "ulm: line1 + line2 p1", "ulm line29")
    opened.tab.reload()
    opened.tab.wait_for_selector("th[aria-sort=descending]:has-text('Camera')")
    await_number(opened, 30)


def test_camera_opens_with_the_keyboard_and_stays_open_while_it_changes(open_fleet: Any, plants: Plants) -> None:
    opened = open_fleet()
    button = opened.tab.locator("tr", has_text="seoul").first.locator(".opens")
    button.focus()
    opened.tab.keyboard.press("Enter")
    link = opened.tab.locator(".inside a.button")
    assert link.get_attribute("href") == "https://seoul.example:8470/"
    assert link.get_attribute("rel") == "noreferrer noopener"
    plants.change("seoul line2", phase="blind", reason="covered")
    opened.tab.wait_for_selector("td.state:has-text('covered')")
    assert opened.tab.locator(".inside").count() == 1
    assert opened.tab.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    # Two findings come before one.
    await_first(opened, "seoul line2", "berlin line1")
    plants.change("seoul line2")
    wait_until(lambda: opened.tab.locator("text=covered").count() == 0, what="the camera as before")


def test_click_that_has_begun_is_not_lost_when_its_row_changes(open_fleet: Any, plants: Plants) -> None:
    opened = open_fleet()
    opened.tab.locator("tr", has_text="seoul").first.locator(".opens").hover()
    opened.tab.mouse.down()
    plants.change("seoul line2", reason="polished")
    opened.tab.wait_for_selector("td.state:has-text('polished')")
    opened.tab.mouse.up()
    opened.tab.wait_for_selector("tr:has-text('polished') + tr .inside")
    plants.change("seoul line2")
    wait_until(lambda: opened.tab.locator("text=polished").count() == 0, what="the camera as before")


def test_broker_that_is_gone_is_reported_and_its_return_too(open_fleet: Any, plants: Plants) -> None:
    opened = open_fleet()
    plants.broker.stop()
    opened.tab.wait_for_selector("#health.problem:has-text('not connected since')")
    assert len(names(opened)) == len(CAMERAS) + 1, "what was known stays"
    plants.broker.start()
    opened.tab.wait_for_function("() => document.querySelector('#health').textContent === ''")


def test_hidden_page_asks_for_nothing(open_fleet: Any) -> None:
    opened = open_fleet()
    hide = "value => { Object.defineProperty(document, 'hidden', { value, configurable: true }); "
    hide += "document.dispatchEvent(new Event('visibilitychange')); }"
    state_of = "import('/fleet/stream.js').then(({ known }) => known.connected)"
    wait_until(lambda: opened.tab.evaluate(state_of), what="the stream")
    opened.tab.evaluate(hide, True)
    assert opened.tab.evaluate(state_of) is False
    opened.tab.evaluate(hide, False)
    wait_until(lambda: opened.tab.evaluate(state_of), what="the stream again")


def test_viewer_is_offered_no_logins(open_fleet: Any) -> None:
    opened = open_fleet(person="vera")
    assert opened.tab.locator("nav a").all_inner_texts() == ["Cameras", "Alarms"]


def test_screenshots_are_kept_for_people(open_fleet: Any) -> None:
    """The picture in docs/fleet.md is made here."""
    opened = open_fleet("panel")
    opened.tab.set_viewport_size({"width": 1440, "height": 900})
    opened.tab.screenshot(path=Path(__file__).parents[2] / "build" / "page" / "fleet.png")
