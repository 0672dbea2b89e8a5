"""Parts are looked up, a group of cameras gives one verdict, and the product is changed: on the page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.page.conftest import Line, Tab, tab_opener
from tests.page.test_screens import check
from tests.support.agents import agent_processes, await_status, is_armed, write_good_and_bad_parts
from tests.support.broker import Mosquitto, wait_until
from tests.support.page import running_page

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]

SETTINGS = """\
site = "plant"
state_directory = "state"

[mqtt]
url = "{url}"

[parts.p1]
cameras = ["top", "side"]
within = "10 s"
"""

CAMERA = """
[cameras.{name}]
source = {{ kind = "folder", follow = true, path = "{name}" }}
calibration = {{ frames = 60, max_frames = 60, false_alarms = "1 per 20 parts" }}
parts = {{ ok_heatmap_every = 1 }}
{bundle}
"""

PRODUCTS = """
product = "A"
[cameras.side.products.A]
bundle = "{bundle}"
[cameras.side.products.B]
bundle = "{bundle}"
"""


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Line]:
    """Two cameras that see the same parts by their files; one of them has products."""
    directory = tmp_path_factory.mktemp("grouped")
    for camera in ("top", "side"):
        write_good_and_bad_parts(directory / camera, good=60, bad=0)
    write_good_and_bad_parts(directory / "more", good=1, bad=1)
    broker = Mosquitto(directory / "broker").start()
    config = directory / "inspectd.toml"
    top = CAMERA.format(name="top", bundle=f'bundle = "{tiny_bundle.path}"')
    side = CAMERA.format(name="side", bundle=PRODUCTS.format(bundle=tiny_bundle.path))
    config.write_text(SETTINGS.format(url=broker.url) + top + side)
    socket = directory / "state" / "control.sock"
    try:
        with running_page(config) as page, agent_processes(config) as start:
            agent = start()
            await_status(socket, lambda status: all(map(is_armed, status["cameras"].values())), 120.0)
            yield Line(page, broker, socket, config, start, agent)
    finally:
        broker.end()


@pytest.fixture
def open_grouped(grouped: Line, browser: Any) -> Iterator[OpenTab]:
    """Opens the page of these cameras."""
    with tab_opener(browser, grouped.page) as opened:
        yield opened


def show(grouped: Line, camera: str, name: str, *, bad: bool = False) -> None:
    """A part comes before a camera: its file is there at once."""
    good, spoiled = sorted((grouped.config.parent / "more").iterdir())
    folder = grouped.config.parent / camera
    shutil.copy(spoiled if bad else good, folder / f".{name}")
    (folder / f".{name}").rename(folder / name)


def test_group_has_one_verdict_and_shows_who_found_what(grouped: Line, open_grouped: OpenTab) -> None:
    opened = open_grouped().log_in("vera")
    opened.tab.wait_for_selector(".tile:has-text('top + side')")
    check(opened, "groups-panel")
    opened.tab.click(".tile:has-text('top + side')")
    for camera in ("top", "side"):
        show(grouped, camera, "good.png")
    opened.tab.wait_for_selector(".joined > .verdict[data-kind=good]:has-text('good.png')", timeout=60_000)
    show(grouped, "top", "bad.png")
    show(grouped, "side", "bad.png", bad=True)
    opened.tab.wait_for_selector(".joined > .verdict[data-kind=bad]:has-text('bad.png: side')", timeout=60_000)
    opened.tab.wait_for_selector(".tile:has-text('side') .badge:text-is('Bad')")
    check(opened, "group-panel")
    show(grouped, "top", "alone.png")
    opened.tab.wait_for_selector(".joined > .verdict[data-kind=wait]:has-text('No result of side')", timeout=60_000)
    opened.tab.wait_for_selector(".tile:has-text('side') .badge:text-is('missing')")


def test_part_is_found_and_leads_to_its_alarm(grouped: Line, open_grouped: OpenTab) -> None:
    show(grouped, "top", "lost.png")
    show(grouped, "side", "lost.png", bad=True)
    wait_until(lambda: is_recorded(grouped, "lost"), what="the part and its alarm")
    opened = open_grouped().log_in("vera").go("parts")
    opened.tab.wait_for_selector("table.parts tbody tr >> nth=30")
    opened.tab.fill("input[name=part]", "LOST")
    opened.tab.press("input[name=part]", "Enter")
    # One row of each camera and one of the group; those of all parts may have links to alarms, too.
    opened.tab.wait_for_selector("table.parts tbody tr >> nth=3", state="detached")
    opened.tab.wait_for_selector("table.parts a[href*=alarm]")
    check(opened, "parts-panel")
    opened.tab.click("table.parts a[href*=alarm] >> nth=0")
    opened.tab.wait_for_selector(".one h1:has-text('side')")
    opened.go("parts?camera=parts%2Fp1&verdict=not_judged").tab.wait_for_selector("table.parts tbody tr")
    shown = opened.tab.locator("table.parts tbody tr")
    wanted = ask(grouped.socket, "results/list", group="p1", verdict="not_judged")["parts"]
    assert shown.count() == len(wanted) > 50


def is_recorded(grouped: Line, name: str) -> bool:
    """Whether the group's result of a bad part is there, and the alarm to which it leads."""
    parts = ask(grouped.socket, "results/list", group="p1", part=name)["parts"]
    alarms = [alarm["id"] for alarm in ask(grouped.socket, "alarms/list")["alarms"]]
    return bool(parts) and parts[0]["alarm"] in alarms


def sampled(grouped: Line) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = ask(grouped.socket, "results/list", "side", part="sampled")["parts"]
    return parts


def test_sampled_good_part_shows_its_heatmap(grouped: Line, open_grouped: OpenTab) -> None:
    show(grouped, "side", "sampled.png")
    wait_until(lambda: any(part["heatmap"] for part in sampled(grouped)), what="its heatmap")
    opened = open_grouped(dark=True).log_in("vera").go("parts?camera=side&part=sampled")
    image = opened.tab.wait_for_selector("table.parts a[href*=heatmap] img:not(.missing)")
    opened.tab.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image)
    assert image.get_attribute("alt") == "Heatmap of part sampled.png"
    check(opened, "parts-heatmap-panel")
    with opened.tab.expect_popup() as popup:
        opened.tab.click("table.parts a[href*=heatmap]")
    popup.value.wait_for_function("() => document.images[0]?.naturalWidth >= 64")  # The image at full size.


@pytest.mark.parametrize("size", ["phone", "uhd"])
def test_screens(open_grouped: OpenTab, size: str) -> None:
    opened = open_grouped(size, dark=True, language="de").log_in("anna")
    opened.tab.wait_for_selector(".tile:has-text('top + side')")
    check(opened, f"groups-{size}")
    opened.go("parts").tab.wait_for_selector("table.parts tbody tr")
    check(opened, f"parts-{size}")
    opened.go("live/parts%2Fp1").tab.wait_for_selector(".joined")
    check(opened, f"group-{size}")


def test_operator_changes_the_product_and_a_viewer_cannot(grouped: Line, open_grouped: OpenTab) -> None:
    viewer = open_grouped().log_in("vera").go("live/side")
    viewer.tab.wait_for_selector("dd:text-is('A')")
    opened = open_grouped().log_in("otto").go("live/side")
    opened.tab.select_option(".product select", "B")
    opened.tab.click("button:text-is('Change product')")
    viewer.tab.wait_for_selector("dd:text-is('B')")
    assert viewer.tab.locator(".product select").count() == 0
    assert ask(grouped.socket, "product", "side")["product"] == "B"
    ask(grouped.socket, "product", "side", name="A")


def test_parts_of_a_fast_line_are_listed_page_by_page(line: Line, open_tab: OpenTab) -> None:
    wait_until(lambda: len(ask(line.socket, "results/list", limit=150)["parts"]) == 150, seconds=120, what="the parts")
    opened = open_tab("phone").log_in("vera").go("parts")
    opened.tab.wait_for_selector("table.parts tbody tr >> nth=99")
    opened.tab.click("button:text-is('Show more')")
    opened.tab.wait_for_selector("table.parts tbody tr >> nth=120")
    names = opened.tab.locator("table.parts tbody tr td:nth-child(2) b").all_inner_texts()
    wanted = [part["part"] for part in ask(line.socket, "results/list", limit=5000)["parts"]]
    first = wanted.index(names[0])
    assert names == wanted[first : first + len(names)], "newest first, none twice, none left out"
