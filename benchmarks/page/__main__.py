"""`python -m benchmarks.page`: loop rate with and without viewers, memory of the page, time to the first paint.

The camera is simulated, at 20 frames a second and as fast as inspection goes; the inspected frames are counted.
Measurements without and with viewers alternate, so that other programs disturb both alike.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from agent.commands import ask
from benchmarks.machine import describe_machine
from tests.support.agent_settings import settings_text
from tests.support.agents import agent_processes, await_state, is_armed
from tests.support.page import PASSWORD, Page, running_page
from tests.support.viewers import Viewers

# Measured for each rate of a camera on a line, and as fast as it goes.
_RATES = (20.0, 1000.0)


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of measurements")
    options = parser.parse_args()
    print(f"{describe_machine()}; {options.rounds} pairs of {options.seconds:g} s\n")
    print("| camera | viewers | frames/s without | frames/s with | ratio, median (least) | images/s sent | page, MB |")
    print("|---|---|---|---|---|---|---|")
    for rate in _RATES:
        for viewers in (1, options.viewers):
            print(_row(rate, viewers, options.seconds, options.rounds), flush=True)
    print(f"\nFirst paint on loopback, Chromium, milliseconds: {_first_paint()}")


def _row(rate: float, viewers: int, seconds: float, rounds: int) -> str:
    with tempfile.TemporaryDirectory() as name, _line(Path(name), rate) as (page, socket):
        without, looking, images, memory = [], [], [], 0
        for _ in range(rounds):
            without.append(_rate(socket, seconds))
            watching = Viewers(page).start(viewers)
            time.sleep(1.0)
            before = watching.images
            looking.append(_rate(socket, seconds))
            images.append((watching.images - before) / seconds)
            memory = max(memory, page.memory_bytes())
            watching.stop()
        ratios = [after / before for before, after in zip(without, looking, strict=True)]
        speed = f"{rate:g}/s" if rate < 1000 else "as fast as it goes"
        return (
            f"| {speed} | {viewers} | {statistics.median(without):.1f} | {statistics.median(looking):.1f} "
            f"| {statistics.median(ratios):.3f} ({min(ratios):.3f}) | {statistics.median(images):.0f} "
            f"| {memory / 1e6:.0f} |"
        )


@contextmanager
def _line(directory: Path, rate: float) -> Iterator[tuple[Page, Path]]:
    """An agent with the shipped bundle and its page; yields the page and the control socket."""
    config, socket = directory / "inspectd.toml", directory / "state" / "control.sock"
    source = f'kind = "simulator"\nframes_per_second = {rate}\ngood_frames = 100000000'
    bundle = Path(str(files("engines.bundles.shipped"))) / "simulator-camera.bundle"
    config.write_text(settings_text(bundle, source))
    with agent_processes(config) as start:
        start()
        await_state(socket, is_armed, 600)
        with running_page(config) as page:
            yield page, socket


def _rate(socket: Path, seconds: float) -> float:
    """Frames inspected in a second."""

    def frames() -> int:
        return int(ask(socket, "status")["cameras"]["line1"]["frames"])

    before, began = frames(), time.monotonic()
    time.sleep(seconds)
    return (frames() - before) / (time.monotonic() - began)


def _first_paint() -> str:
    """Median and longest of ten visits without a cache; how to get it where there is no browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return "not measured, no Chromium"
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, _line(Path(name), 20.0) as (page, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        times, live = [], []
        for _ in range(10):
            context = browser.new_context(viewport={"width": 1024, "height": 600})
            tab = context.new_page()
            tab.goto(f"http://127.0.0.1:{page.port}/")
            tab.wait_for_selector("#name")
            times.append(_paint(tab))
            tab.fill("#name", "vera")
            tab.fill("#password", PASSWORD)
            tab.press("#password", "Enter")
            tab.wait_for_selector(".verdict")
            tab.reload()
            tab.wait_for_selector(".verdict")
            live.append(_paint(tab))
            context.close()
        browser.close()
    return " and ".join(
        f"{name} {statistics.median(found):.0f} (at most {max(found):.0f})"
        for name, found in (("login", times), ("live", live))
    )


def _paint(tab: Any) -> float:
    return float(
        tab.evaluate(
            "() => new Promise(done => new PerformanceObserver(list => done(list.getEntries()"
            ".find(entry => entry.name === 'first-contentful-paint')?.startTime ?? 0))"
            ".observe({ type: 'paint', buffered: true }))"
        )
    )


if __name__ == "__main__":
    main()
