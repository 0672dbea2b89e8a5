"""An agent that runs for long, with a broker that is restarted again and again: nothing grows.

`make test-soak` runs it for an hour with a restart every minute; SOAK_SECONDS sets another length.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.bundles import Bundle
from tests.support.agents import Starter, await_state, configure, is_armed, socket_path, stop
from tests.support.broker import Mosquitto, Subscriber, free_port, wait_until
from tests.support.scraping import parsed, scrape_port

SECONDS = float(os.environ.get("SOAK_SECONDS", "3600"))
RESTART_EVERY_SECONDS = min(60.0, SECONDS / 6)

SOURCE = 'kind = "simulator"\nframes_per_second = 20.0\ngood_frames = 100\ndefect_rate = 0.2'


def usage(process: int) -> tuple[int, int, int]:
    """Resident memory, kB, descriptors and threads of a process."""
    proc = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]), len(list((proc / "fd").iterdir())), int(status["Threads"])


@pytest.mark.faults
@pytest.mark.timeout(SECONDS + 600)
def test_memory_descriptors_and_threads_stay_flat(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, tiny_bundle: Bundle, start: Starter
) -> None:
    """The second half of the run is compared with the first; the first minutes fill caches."""
    broker = mosquitto()
    port = free_port()
    configure(tmp_path, tiny_bundle, SOURCE, broker.url, sections=f"[metrics]\nport = {port}")
    subscriber = Subscriber(broker, "inspectd/plant/line1/alarm", client_id="plc")
    process = start()
    await_state(socket_path(tmp_path), is_armed)
    samples: list[tuple[int, int, int]] = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        arrived = len(subscriber.on("/alarm"))
        broker.restart()
        wait_until(lambda arrived=arrived: len(subscriber.on("/alarm")) > arrived, seconds=120, what="an alarm")
        assert parsed(scrape_port(port))
        threading.Event().wait(RESTART_EVERY_SECONDS)
        samples.append(usage(process.pid))
    half = len(samples) // 2
    first, second = _most(samples[:half]), _most(samples[half:])
    for what, before, after in zip(("kB", "descriptors", "threads"), first, second, strict=True):
        assert after <= before * 1.1 + 4, (
            f"{what}: at most {before} in the first half, {after} in the second: {samples}"
        )
    code, log = stop(process)
    assert code == 0, log
    assert "Traceback" not in log


def _most(samples: list[tuple[int, int, int]]) -> tuple[int, ...]:
    return tuple(max(values) for values in zip(*samples, strict=True))
