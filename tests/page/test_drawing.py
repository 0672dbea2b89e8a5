"""What is inspected, drawn on the live image: with the mouse, with a finger, with keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from agent.commands import ask
from tests.page.conftest import Line, Tab
from tests.page.test_screens import check
from tests.support.broker import wait_until

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]

START = "button:text-is('Draw on the image')"


@pytest.fixture
def drawn(line: Line) -> Any:
    """The view that is kept; none before and after the test."""

    def known() -> Any:
        return ask(line.socket, "view")["drawn"]

    yield known
    found = ask(line.socket, "view")
    ask(line.socket, "view/draw", width=found["width"], height=found["height"])


Place = tuple[float, float]


@dataclass
class Board:
    """The image that is drawn on; places are shares of its width and height. What is above it may still move it."""

    image: Any

    def click(self, *places: Place) -> None:
        for place in places:
            self.image.click(position=self._at(place))

    def tap(self, *places: Place) -> None:
        for place in places:
            self.image.tap(position=self._at(place))

    def drag(self, start: Place, end: Place) -> None:
        self.image.drag_to(self.image, source_position=self._at(start), target_position=self._at(end))

    def _at(self, place: Place) -> dict[str, float]:
        box = self.image.bounding_box()
        return {"x": place[0] * box["width"], "y": place[1] * box["height"]}


def board(opened: Tab) -> Board:
    """Opens the drawing."""
    opened.go("setup").tab.click(START)
    return Board(opened.tab.locator(".board svg"))


def test_mask_drawn_with_the_mouse_is_kept_and_train_is_shown_how(line: Line, open_tab: OpenTab, drawn: Any) -> None:
    opened = open_tab().log_in("anna")
    image = board(opened)
    opened.tab.click("[data-tool=mask]")
    image.click((0.1, 0.1), (0.4, 0.1), (0.4, 0.4), (0.1, 0.1))
    opened.tab.wait_for_selector(".areas li:has-text('3 corners')")
    image.drag((0.4, 0.4), (0.5, 0.6))
    check(opened, "drawing-panel")
    opened.tab.click("text=Keep for training")
    opened.tab.wait_for_selector("code:has-text('inspectd train')")
    found = drawn()
    view = ask(line.socket, "view")
    (corners,) = found["exclude"]
    assert len(corners) == 3
    assert corners[2] == pytest.approx([0.5 * view["width"], 0.6 * view["height"]], abs=2), "where it was dragged to"
    assert found["by"] == "anna (page)"
    assert "--mask" in opened.tab.inner_text(".trained code")


def test_crop_drawn_with_keys_is_kept(line: Line, open_tab: OpenTab, drawn: Any) -> None:
    opened = open_tab().log_in("anna")
    board(opened)
    opened.tab.focus(".board svg")
    for key in (*["ArrowLeft"] * 10, *["ArrowUp"] * 8, "Enter", *["ArrowRight"] * 15, *["ArrowDown"] * 12, "Enter"):
        opened.tab.keyboard.press(key)
    opened.tab.fill("[data-side=x]", "7")
    opened.tab.press("[data-side=x]", "Tab")
    opened.tab.click("text=Keep for training")
    opened.tab.wait_for_selector("code:has-text('--crop 7,')")
    view = ask(line.socket, "view")
    step = round(max(view["width"], view["height"]) / 50)
    assert drawn()["crop"]["width"] == 15 * step
    opened.tab.focus(".board svg")
    opened.tab.keyboard.press("Delete")
    opened.tab.click("text=Keep for training")
    wait_until(lambda: drawn() is None, what="the view's removal")


@pytest.mark.parametrize("dark", [False, True])
def test_region_of_other_sensitivity_is_drawn_with_keys(
    line: Line, open_tab: OpenTab, drawn: Any, *, dark: bool
) -> None:
    """Its corners on the board, its factor in a field; both are reached without a mouse."""
    opened = open_tab(dark=dark).log_in("anna")
    board(opened)
    opened.tab.press("[data-tool=sensitivity]", "Enter")
    opened.tab.focus(".board svg")
    first = (*["ArrowLeft"] * 10, *["ArrowUp"] * 8, "Enter")
    others = (*["ArrowRight"] * 12, "Enter", *["ArrowDown"] * 9, "Enter", *["ArrowLeft"] * 12, "Enter")
    for key in (*first, *others, *["ArrowUp"] * 9, "Enter"):
        opened.tab.keyboard.press(key)
    opened.tab.wait_for_selector(".board .region.more")
    opened.tab.wait_for_selector(".board .factor:text-is('×2')")
    opened.tab.fill("[data-region='0']", "20")
    opened.tab.press("[data-region='0']", "Tab")
    opened.tab.wait_for_selector("text=The factor has to be from 0.05 to 10")
    opened.tab.fill("[data-region='0']", "0.3")
    opened.tab.press("[data-region='0']", "Tab")
    opened.tab.wait_for_selector(".board .region.less")
    check(opened, f"sensitivity-panel-{'dark' if dark else 'light'}")
    opened.tab.click("text=Keep for training")
    opened.tab.wait_for_selector("code:has-text('--sensitivity \"0.3: ')")
    (region,) = drawn()["sensitivity"]
    assert (region["factor"], len(region["polygon"])) == (0.3, 4)
    opened.tab.click(".areas >> text=Remove")
    opened.tab.click("text=Keep for training")
    wait_until(lambda: drawn() is None, what="the view's removal")


def test_code_region_drawn_with_a_finger_is_in_force_once_it_is_in_the_settings(line: Line, open_tab: OpenTab) -> None:
    opened = open_tab("phone", touch=True).log_in("anna")
    image = board(opened)
    opened.tab.click("[data-tool=code]")
    image.tap((0.6, 0.7), (0.9, 0.95))
    lines = opened.tab.inner_text(".snippet code")
    check(opened, "drawing-phone")
    before = line.config.read_text()
    try:
        line.config.write_text(f"{before}\n{lines}\n")
        opened.tab.click(".snippet + .actions >> text=Read settings again")
        opened.tab.wait_for_selector("text=This region is in force.", timeout=120_000)
        assert ask(line.socket, "view")["code"]["width"] > 10
    finally:
        line.config.write_text(before)
        ask(line.socket, "reload")


def test_operator_is_not_offered_to_draw(open_tab: OpenTab) -> None:
    opened = open_tab().log_in("otto").go("setup")
    opened.tab.wait_for_selector(".setup table")
    assert not opened.tab.locator(START).is_visible()
