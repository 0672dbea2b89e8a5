"""SIGKILL of an agent on a folder at every step from reading a file to its row in the ledger."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundles.bundle import Bundle
from tests.support.agents import configure, write_good_and_bad_parts
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.killed_inbox import STEPS

# An agent that does not reach its step is killed from outside: as good a kill as any.
LIFE_SECONDS = 30.0


class Inbox:
    """A folder in which each round leaves two bad parts, a good one, and an image that does not fit the model."""

    def __init__(self, folder: Path) -> None:
        write_good_and_bad_parts(folder, good=70, bad=1)
        self.folder = folder
        self.good, self.bad, self.deep = (folder.with_name(name) for name in ("good.png", "bad.png", "deep.png"))
        shutil.copy(folder / "000.png", self.good)
        shutil.move(folder / "z000.png", self.bad)
        pixels = cv2.imread(str(self.good), cv2.IMREAD_UNCHANGED)
        assert cv2.imwrite(str(self.deep), pixels.astype(np.uint16) * 257)
        self.bad_names: set[str] = set()
        self.deep_names: set[str] = set()

    @property
    def names(self) -> set[str]:
        return {file.name for file in self.folder.iterdir()}

    def put(self, number: int) -> None:
        for kind, image in (("a", self.bad), ("b", self.good), ("c", self.deep), ("d", self.bad), ("e", self.good)):
            name = f"z{number}{kind}.png"
            shutil.copy(image, self.folder / name)
            if image == self.bad:
                self.bad_names.add(name)
            elif image == self.deep:
                self.deep_names.add(name)


def recorded(ledger: Path) -> set[str]:
    """Names in the ledger; none before its table is created."""
    if not ledger.exists():
        return set()
    with closing(sqlite3.connect(ledger, timeout=10)) as db, suppress(sqlite3.OperationalError):
        return {name for (name,) in db.execute("SELECT name FROM file")}
    return set()


def run(settings: Path, step: str, count: int, until: Callable[[], bool] | None = None) -> int:
    """Run the agent until it is killed, or, with `until`, to its end; its exit status."""
    command = [sys.executable, "-m", "tests.support.killed_inbox", str(settings), step, str(count)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL) as agent:
        try:
            if until is None:
                return agent.wait(LIFE_SECONDS)
            wait_until(until, seconds=600)
            agent.terminate()
            return agent.wait(120)
        except subprocess.TimeoutExpired:
            return -signal.SIGTERM
        finally:
            agent.kill()


@pytest.mark.parametrize(
    "cycles",
    [
        pytest.param(10, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param(200, marks=[pytest.mark.faults, pytest.mark.timeout(3600)]),
    ],
)
def test_killed_agent_inspects_each_file_once_by_id(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, tiny_bundle: Bundle, cycles: int
) -> None:
    """Every bad part has its alarm, under one id however often its inspection was interrupted; no file is forgotten."""
    broker, inbox = mosquitto(), Inbox(tmp_path / "inbox")
    settings = configure(tmp_path, tiny_bundle, f'kind = "folder"\nfollow = true\npath = "{inbox.folder}"', broker.url)
    subscriber = Subscriber(broker, "inspectd/#", client_id="plc")
    ledger = tmp_path / "state/cameras/line1/inspected-files.sqlite"
    assert run(settings, "never", 0, lambda: len(recorded(ledger)) == 70) == 0, "the window"
    rng = np.random.default_rng(cycles)
    killed = dict.fromkeys(STEPS, 0)
    for cycle in range(cycles):
        step = STEPS[cycle % len(STEPS)]
        # Killed early and often, it would fall ever further behind.
        if "quarantine" in step or len(inbox.names - recorded(ledger)) < 10:
            inbox.put(cycle)
        # Alarms that wait together share a commit: a round has two at least.
        count = 1 if "quarantine" in step else int(rng.integers(1, 3))
        killed[step] += run(settings, step, count) == -signal.SIGKILL
    assert run(settings, "never", 0, lambda: recorded(ledger) == inbox.names) == 0
    assert all(killed.values()), f"every step was reached: {killed}"

    def ids() -> dict[str, set[str]]:
        found = defaultdict(set)
        for message in subscriber.on("/alarm"):
            document = json.loads(message.payload)
            if document["event"] == "raised":
                found[document["origin"]].add(document["id"])
        return found

    wait_until(lambda: set(ids()) >= inbox.bad_names, what="an alarm for every bad part")
    assert {name: len(each) for name, each in ids().items() if len(each) != 1} == {}
    assert len(set.union(*ids().values())) == len(ids()), "no two files share an id"
    journal = (tmp_path / "state/cameras/line1/quarantine/quarantine.jsonl").read_text().splitlines()
    assert {Path(json.loads(line)["file"]).name for line in journal} == inbox.deep_names
