"""SIGKILL of the agent at every step between accept, publish, PUBACK and delete."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import first_arrivals, sequences
from tests.support.killed_agent import STEPS


@pytest.mark.parametrize("cycles", [27, pytest.param(200, marks=[pytest.mark.faults, pytest.mark.timeout(2400)])])
def test_killed_agent_delivers_all_that_it_accepted(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, cycles: int
) -> None:
    """A subscriber gets everything that was accepted, in order of each camera; repetitions have the same id."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#", client_id="plc")
    rng = np.random.default_rng(cycles)
    killed = dict.fromkeys(STEPS, 0)
    for cycle in range(cycles):
        step = STEPS[cycle % len(STEPS)]
        killed[step] += run(broker, tmp_path, step, int(rng.integers(1, 9))) == -signal.SIGKILL
    assert run(broker, tmp_path, "never", 0) == 0
    assert all(killed.values()), f"every step was reached: {killed}"
    accepted = {int(line) for line in (tmp_path / "accepted").read_text().split()}
    last = max(accepted)
    wait_until(lambda: last in sequences(subscriber.on("/alarm")))
    arrived = subscriber.on("/alarm")
    assert set(sequences(arrived)) >= accepted
    assert sorted(set(sequences(arrived))) == list(range(1, last + 1)), "no gaps, even if the log was not written"
    documents = {message.payload for message in arrived}
    assert len(documents) == len({json.loads(document)["sequence"] for document in documents})
    for camera in ("cam0", "cam1"):
        order = first_arrivals(subscriber.on(f"{camera}/alarm"))
        assert order == sorted(order)
    wait_until(lambda: len({m.payload + m.topic.encode() for m in subscriber.on("/heatmap")}) >= (last + 1) // 2)


def run(broker: Mosquitto, directory: Path, step: str, count: int) -> int:
    """Run the agent until it is killed or done; its exit status."""
    command = [sys.executable, "-m", "tests.support.killed_agent", broker.url, str(directory), step, str(count), "6"]
    root = Path(__file__).parents[3]
    return subprocess.run(command, cwd=root, timeout=60, check=False).returncode
