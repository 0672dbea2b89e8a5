"""Every screen at three sizes, light and dark: no fault of accessibility, nothing cut off, nothing in the console.

Screenshots are in `build/page`, for people to look at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.page.conftest import SIZES, Tab

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text("utf-8")
SHOTS = Path(__file__).parents[2] / "build" / "page"
SCREENS = {
    "live": ".strip canvas",
    "alarms": ".alarm img",
    "setup": ".setup table",
    "training": ".group",
    "audit": "table.log",
}

# The live image and the thumbnails in view are there, and no word of a verdict is cut off.
COMPLETE = """() => {
  const all = (selector, complete) => [...document.querySelectorAll(selector)].every(complete);
  const unseen = (node) => !node.checkVisibility() || node.getBoundingClientRect().top > innerHeight;
  return all('canvas.image', (image) => image.width > 4)
    && all('.alarm img', (image) => image.complete || unseen(image))
    && all('.verdict', (box) => box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight);
}"""

# In pixels, of a good or bad part; the words of other states are longer, and smaller.
SIZE_OF_VERDICT = """() => {
  const word = document.querySelector('.verdict[data-kind=good] strong, .verdict[data-kind=bad] strong');
  return word && parseFloat(getComputedStyle(word).fontSize);
}"""


def violations(opened: Tab) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA and its best practices."""
    session = opened.tab.context.new_cdp_session(opened.tab)
    # Not by a script element, which the page's own policy forbids.
    session.send("Runtime.evaluate", {"expression": f"{AXE};0"})
    rules = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']"
    run = f"axe.run({{runOnly: {rules}}}).then(found => JSON.stringify(found.violations))"
    done = session.send("Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True})
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in json.loads(done["result"]["value"])]


def check(opened: Tab, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.tab.wait_for_function(COMPLETE)
    opened.tab.screenshot(path=SHOTS / f"{name}.png")
    assert violations(opened) == [], name
    beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert opened.tab.evaluate(beyond) == 0, f"{name} is wider than the screen"
    assert opened.faults == [], name


@pytest.mark.parametrize(
    ("size", "dark", "language"),
    [("phone", True, "ko"), ("phone", False, "en"), ("panel", True, "de"), ("uhd", False, "ko")],
)
def test_screens(open_tab: OpenTab, size: str, dark: bool, language: str) -> None:
    opened = open_tab(size, dark=dark, language=language)
    size = f"{size}-dark" if dark else size
    check(opened, f"login-{size}")
    opened.log_in("anna")
    for screen, ready in SCREENS.items():
        opened.go(screen).tab.wait_for_selector(ready)
        check(opened, f"{screen}-{size}")
    opened.go("alarms").tab.click(".cards .alarm >> nth=0")
    opened.tab.wait_for_function("() => document.querySelector('.stage img')?.naturalWidth > 0")
    check(opened, f"alarm-{size}")


@pytest.mark.parametrize("language", ["en", "de", "ko"])
def test_verdict_is_large(open_tab: OpenTab, language: str) -> None:
    """A panel of ten inches is 22 cm wide: capital letters of 10 mm are read from three metres."""
    opened = open_tab("panel", language=language).log_in("vera")
    size = opened.tab.wait_for_function(SIZE_OF_VERDICT).json_value()
    # Capital letters have seven tenths of the size of the font.
    assert 0.7 * size * 220 / SIZES["panel"][0] > 10


def test_page_is_used_with_the_keyboard_alone(open_tab: OpenTab) -> None:
    opened = open_tab()
    keyboard = opened.tab.keyboard
    keyboard.type("anna")
    keyboard.press("Tab")
    keyboard.type("correct horse")
    keyboard.press("Enter")
    opened.tab.wait_for_selector("nav")
    opened.tab.wait_for_selector(".cards .alarm")
    for _ in range(30):
        keyboard.press("Tab")
        if opened.tab.evaluate("document.activeElement.getAttribute('href')") == "#/alarms":
            break
    else:
        pytest.fail("the Tab key does not reach the alarms")
    keyboard.press("Enter")
    opened.tab.wait_for_selector("nav a[href='#/alarms'][aria-current=page]")
    opened.tab.wait_for_selector(".cards .alarm")
