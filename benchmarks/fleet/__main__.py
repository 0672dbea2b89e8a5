"""What the page for many agents costs: processor, memory, and the time to its first paint.

    python -m benchmarks.fleet [--agents 1000] [--seconds 60]

A real Mosquitto, a real agent whose documents are the pattern, as many publishers with a connection each, and the page
as its own process. The last result is in benchmarks/fleet/README.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fleet.documents import capture
from benchmarks.machine import describe_machine
from tests.support.broker import Mosquitto, wait_until
from tests.support.page import Page, running_fleet

RESULT = Path(__file__).with_name("README.md")
VIEWERS = (0, 1, 10)
PAINTS = 7


class Viewer(threading.Thread):
    """Reads the events of the page, as a browser's tab does, and counts bytes."""

    def __init__(self, page: Page) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)
        self._connection.request("GET", "/api/events")
        self._response = self._connection.getresponse()
        self.bytes = 0
        self.start()

    def run(self) -> None:
        try:
            while part := self._response.read1(65_536):
                self.bytes += len(part)
        except (OSError, ValueError, AttributeError):
            pass

    def close(self) -> None:
        """Leave."""
        if self._connection.sock is not None:
            self._connection.sock.close()


@contextmanager
def publishers(url: str, documents: Path, agents: int) -> Iterator[None]:
    """The simulated agents, connected."""
    command = [sys.executable, "-m", "benchmarks.fleet.agents", "--url", url, "--documents", str(documents)]
    process = subprocess.Popen([*command, "--agents", str(agents)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "connected" in process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(page: Page, viewers: int, seconds: float) -> dict[str, float]:
    """Processor and bytes while so many look."""
    looking = [Viewer(page) for _ in range(viewers)]
    # The rows that every viewer gets at first are not counted.
    time.sleep(5.0)
    before, sent, begin = processor_seconds(page.process.pid), sum(each.bytes for each in looking), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begin
    found = {
        "cpu": (processor_seconds(page.process.pid) - before) / took,
        "bytes": (sum(each.bytes for each in looking) - sent) / took / max(1, viewers),
        "memory": page.memory_bytes() / 2**20,
    }
    for each in looking:
        each.close()
    return found


def first_paints(page: Page) -> list[tuple[float, float]]:
    """Milliseconds to the first paint, and to a table with rows, in Chromium; empty where there is none."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        return []
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(PAINTS):
            tab = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            tab.goto(f"http://127.0.0.1:{page.port}/")
            tab.wait_for_selector("table.fleet tbody tr")
            rows = tab.evaluate("performance.now()")
            paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            found.append((paint, rows))
            tab.close()
        browser.close()
    return found


def measure(agents: int, seconds: float, documents: Path | None = None) -> dict[str, Any]:
    """All figures; `documents`: captured before, JSON."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        directory.chmod(0o755)
        if documents is None:
            documents = directory / "documents.json"
            documents.write_text(json.dumps(capture(directory / "one")))
        broker = Mosquitto(directory / "broker").start()
        try:
            page_lines = "view_without_login = true"
            with (
                publishers(broker.url, documents, agents),
                running_fleet(directory, broker.url, page=page_lines) as page,
            ):
                client = page.client()
                wait_until(
                    lambda: len(client.get("/api/cameras").document["cameras"]) == agents,
                    seconds=120,
                    what="all agents",
                )
                load = os.getloadavg()[0]
                costs = {viewers: cost(page, viewers, seconds) for viewers in VIEWERS}
                faults = client.get("/api/cameras").document["faults"]
                return {"costs": costs, "paints": first_paints(page), "load": load, "faults": faults}
        finally:
            broker.end()


def report(agents: int, seconds: float, found: dict[str, Any]) -> str:
    """The result as a page."""
    rows = "\n".join(
        f"| {viewers} | {cost['cpu']:.1%} | {cost['memory']:.0f} MB | {cost['bytes'] / 1000:.1f} kB/s |"
        for viewers, cost in found["costs"].items()
    )
    paints = "not measured: no Chromium"
    if found["paints"]:
        first, table = (statistics.median(column) for column in zip(*found["paints"], strict=True))
        paints = (
            f"first paint {first:.0f} ms, a table with rows {table:.0f} ms (median of {PAINTS}, Chromium, loopback)"
        )
    return f"""# The page for many agents

`python -m benchmarks.fleet --agents {agents} --seconds {seconds:g}`: {agents} agents at one Mosquitto, each with a
connection, publish the documents of a real one: `state` and `count` every 5 s, `status` every 30 s, six alarms an hour.
One camera in ten is not in order. The page is `inspectd fleet` with SQLite.

{describe_machine()}; load average {found["load"]:.0f} while it was measured. Processor time is of the page's
process, in shares of one core. On a busy machine the publishers are late and the page has less to do: if all are in
time, a viewer gets about 13 kB/s, 65 bytes for each of 200 rows a second.

| viewers | processor | memory | to each viewer |
|---|---|---|---|
{rows}

Time in the browser: {paints}. Messages that could not be read: {found["faults"]}.
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each number of viewers")
    parser.add_argument("--documents", type=Path, help="what one agent publishes, JSON; default: ask a real one")
    arguments = parser.parse_args()
    found = measure(arguments.agents, arguments.seconds, arguments.documents)
    text = report(arguments.agents, arguments.seconds, found)
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
