"""Many parts of a folder, while agent and broker are killed: one result for each part, in order, counted once."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.commands import ask
from agent.core.errors import InspectdError
from benchmarks.parts.witness import Witness
from tests.support.agent_settings import settings_text
from tests.support.agents import INSPECTD, socket_path
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.parts import draw_part

BUNDLE = Path(__file__).parents[2] / "tests" / "data" / "tiny.bundle"

# Different images; many files have the same one, under another name.
IMAGES = 200

# The measurement ends if no result arrives for so long, seconds.
SILENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Kills:
    """What a subscriber got."""

    parts: int
    kills: int
    received: int
    """Results, with the repeated ones."""
    ids: int
    """Different ids."""
    lost: int
    """Parts without a result at the subscriber."""
    lost_by_agent: int
    """Those of them whose result the broker has not acknowledged: it was never delivered."""
    twice: int
    """Parts with results of several ids."""
    out_of_order: int
    """Results that arrived after a later one; repeated ones do not count."""
    counted: int
    """Parts in the numbers of the shifts."""
    seconds: float

    def table(self) -> str:
        """As Markdown."""
        head = (
            "| parts | kills | results received | ids | parts without a result | of them never acknowledged "
            "| with two ids | out of order | in `count` | seconds |\n|---|---|---|---|---|---|---|---|---|---|\n"
        )
        lost = (self.lost, self.lost_by_agent)
        row = (self.parts, self.kills, self.received, self.ids, *lost, self.twice, self.out_of_order, self.counted)
        return f"{head}| {' | '.join(map(str, row))} | {self.seconds:.0f} |\n"


def count_results(directory: Path, parts: int, kills: int, *, spare_broker: bool = False) -> Kills:
    """Kill agent, broker or both, in turn, evenly over the parts; only the agent if `spare_broker`."""
    names = _write_parts(directory / "inbox", parts)
    broker = Mosquitto(directory / "broker", persistence=True).start()
    config = directory / "inspectd.toml"
    source = f'kind = "folder"\nfollow = true\npath = "{directory / "inbox"}"'
    calibration = 'frames = 60\nmax_frames = 60\nfalse_alarms = "1 per 1000 parts"'
    witness = Witness(broker.port)
    config.write_text(settings_text(BUNDLE, source, url=witness.url, calibration=calibration))
    received = _Received(broker)
    began = time.monotonic()
    agent = _Agent(config)
    try:
        for kill in range(kills):
            received.await_ids((kill + 1) * parts // (kills + 1))
            _kill(0 if spare_broker else kill, agent, broker)
        received.await_ids(parts)
        counted = _counted(socket_path(directory), parts)
    finally:
        agent.end()
        broker.end()
        witness.close()
    return _evaluate(names, received, witness.acknowledged, kills, counted, time.monotonic() - began)


class _Agent:
    def __init__(self, config: Path) -> None:
        self._config = config
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([*INSPECTD, "run", "--config", str(self._config)], **quiet)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(20)

    def start(self) -> None:
        self._process = self._start()

    def end(self) -> None:
        self._process.kill()
        self._process.wait(20)


def _kill(number: int, agent: _Agent, broker: Mosquitto) -> None:
    if number % 3 != 1:
        agent.kill()
    if number % 3 != 0:
        broker.kill()
        broker.start()
    if number % 3 != 1:
        agent.start()


def _write_parts(folder: Path, count: int) -> list[str]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = [cv2.imencode(".png", draw_part(rng, scratch=index % 50 == 49))[1].tobytes() for index in range(IMAGES)]
    names = [f"{index:06}.png" for index in range(count)]
    for index, name in enumerate(names):
        (folder / name).write_bytes(images[index % IMAGES])
    return names


class _Received:
    """The results that have arrived, in their order."""

    def __init__(self, broker: Mosquitto) -> None:
        self._subscriber = Subscriber(broker, "inspectd/plant/line1/result", client_id="mes")
        self.messages = 0
        self.documents: dict[str, dict[str, Any]] = {}
        """The first result of each id."""

    def await_ids(self, wanted: int) -> None:
        """Until so many different results are there, or none arrives for a while."""
        at = time.monotonic()
        while len(self.documents) < wanted and time.monotonic() - at < SILENCE_SECONDS:
            before = self.messages
            self._take()
            if self.messages != before:
                at = time.monotonic()
            time.sleep(0.05)

    def _take(self) -> None:
        new = self._subscriber.messages[self.messages :]
        self.messages += len(new)
        for message in new:
            document = json.loads(message.payload)
            self.documents.setdefault(document["id"], document)


def _counted(socket: Path, parts: int) -> int:
    """Parts in the numbers of the shift, once they are all there; a measurement may end in the next shift."""

    def numbers() -> int:
        try:
            shift = ask(socket, "status")["cameras"]["line1"]["shift_parts"]
        except InspectdError:
            return 0
        return int(shift["ok"] + shift["nok"] + shift["not_judged"])

    _try(lambda: wait_until(lambda: numbers() >= parts, seconds=30))
    return numbers()


def _try(action: Callable[[], None]) -> None:
    try:
        action()
    except AssertionError as error:
        print(error)


def _evaluate(
    names: list[str], received: _Received, acknowledged: set[str], kills: int, counted: int, seconds: float
) -> Kills:
    documents = received.documents
    ids_of: dict[str, set[str]] = {}
    for document in documents.values():
        ids_of.setdefault(document["part"], set()).add(document["id"])
    lost = len(set(names) - ids_of.keys())
    sequences = [document["sequence"] for document in documents.values()]
    return Kills(
        parts=len(names),
        kills=kills,
        received=received.messages,
        ids=len(documents),
        lost=lost,
        # A result that is sent again has the same id: what was acknowledged and did not arrive, the broker has lost.
        lost_by_agent=lost - len(acknowledged - documents.keys()),
        twice=sum(len(ids) > 1 for ids in ids_of.values()),
        out_of_order=sum(later < earlier for earlier, later in pairwise(sequences)),
        counted=counted,
        seconds=seconds,
    )
