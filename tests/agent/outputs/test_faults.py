"""Faults between publisher and broker: rejections, resets, hangs, a client id used twice, a clock that jumps.

Each runs a few times in `make test` and many times in `make test-faults`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.core.records import AlarmEvent
from agent.outputs.outbox import Outbox
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import (
    QUICK,
    TOPICS,
    WaitablePublisher,
    accept,
    delivering,
    first_arrivals,
    noise_png,
    sequences,
)
from tests.support.tap import Tap

StartBroker = Callable[..., Mosquitto]

ROOT = Path(__file__).parents[3]


def few_or(many: int) -> list[object]:
    """Three times in `make test`, `many` times in `make test-faults`."""
    return [3, pytest.param(many, marks=[pytest.mark.faults, pytest.mark.timeout(900)])]


def raise_alarms(outbox: Outbox, count: int) -> None:
    """Alarms of two cameras in turn, raised and cleared; the raised ones have an image."""
    for _ in range(count):
        number = outbox.counts().sequence
        event = AlarmEvent.CLEARED if number // 2 % 2 else AlarmEvent.RAISED
        images = {"heatmap": noise_png(24)} if event is AlarmEvent.RAISED else None
        accept(outbox, f"a{number // 4 * 2 + number % 2}", f"cam{number % 2}", event, images)


def assert_all_arrived_in_order(subscriber: Subscriber, outbox: Outbox, publisher: WaitablePublisher) -> None:
    """Every sequence number arrived, in order of each camera; repetitions have the same content."""
    last = outbox.counts().sequence
    assert publisher.wait_until_delivered(60)
    # All of them, not only the last: one of the other camera may still be between broker and subscriber.
    wait_until(lambda: len(set(sequences(subscriber.on("/alarm")))) >= last)
    for camera in ("cam0", "cam1"):
        order = first_arrivals(subscriber.on(f"{camera}/alarm"))
        assert order == sorted(order)
    arrived = subscriber.on("/alarm")
    assert set(sequences(arrived)) == set(range(1, last + 1))
    assert len({message.payload for message in arrived}) == last
    counts = outbox.counts()
    assert (counts.dropped_alarms, counts.dropped_pictures, counts.missing) == (0, 0, ())


@pytest.mark.parametrize("cycles", few_or(50))
@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x97])
def test_rejections_for_a_while_lose_nothing(
    mosquitto: StartBroker, taps: Callable[[Mosquitto], Tap], tmp_path: Path, code: int, cycles: int
) -> None:
    """Unspecified error, implementation specific error, not authorized, quota exceeded: in every PUBACK for a while."""
    broker = mosquitto()
    tap = taps(broker)
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(tap.url, tmp_path, timing=QUICK) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            tap.reject_with, before = code, tap.rejected
            raise_alarms(outbox, 4)
            # Fewer than the attempts after which an image is given up.
            wait_until(lambda before=before: tap.rejected >= before + 3)
            assert outbox.alarms_waiting() == 4, "what the broker rejects stays"
            tap.reject_with = None
            assert publisher.wait_until_delivered(60)
        assert_all_arrived_in_order(subscriber, outbox, publisher)
        assert publisher.report().connected


@pytest.mark.parametrize("cycles", few_or(100))
def test_connection_that_is_reset_at_random_moments_loses_nothing(
    mosquitto: StartBroker,
    taps: Callable[[Mosquitto], Tap],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    cycles: int,
) -> None:
    """RST in the middle of packets with alarms and images; it is not taken for a fault of the outbox."""
    broker = mosquitto()
    tap = taps(broker)
    subscriber = Subscriber(broker, "inspectd/#")
    rng = np.random.default_rng(cycles)
    with delivering(tap.url, tmp_path, timing=QUICK) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            raise_alarms(outbox, int(rng.integers(1, 12)))
            tap.reset()
        assert_all_arrived_in_order(subscriber, outbox, publisher)
    assert not [record for record in caplog.records if record.name == "agent.outputs.mqtt.delivery.session"]


@pytest.mark.parametrize("cycles", few_or(30))
def test_broker_that_hangs_again_and_again_loses_nothing(mosquitto: StartBroker, tmp_path: Path, cycles: int) -> None:
    """SIGSTOP: half-open, nothing comes back; sometimes too short to be noticed."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#", client_id="plc")
    rng = np.random.default_rng(cycles)
    with delivering(broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            broker.suspend()
            raise_alarms(outbox, int(rng.integers(1, 12)))
            publisher.wait_until_delivered(float(rng.uniform(0.0, 1.2)))
            assert outbox.alarms_waiting() > 0, "nothing is acknowledged meanwhile"
            broker.resume()
        assert_all_arrived_in_order(subscriber, outbox, publisher)


@pytest.mark.parametrize("cycles", few_or(50))
def test_client_id_used_by_another_client_loses_nothing(mosquitto: StartBroker, tmp_path: Path, cycles: int) -> None:
    """It connects with the agent's client id again and again; the agent reconnects each time."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            raise_alarms(outbox, 5)
            Subscriber(broker, "nothing/#", client_id=TOPICS.client_id).close()
            wait_until(lambda: publisher.connected)
        assert_all_arrived_in_order(subscriber, outbox, publisher)


@pytest.mark.parametrize("maximum", [1, 20])
@pytest.mark.parametrize("limit", [2_000, 20_000])
@pytest.mark.parametrize("alarms", [pytest.param(2000, marks=[pytest.mark.faults, pytest.mark.timeout(900)])])
def test_broker_with_small_limits_gets_every_alarm(
    mosquitto: StartBroker, tmp_path: Path, maximum: int, limit: int, alarms: int
) -> None:
    """Receive Maximum, and a packet limit that some or all of the images exceed."""
    broker = mosquitto(lines=[f"max_inflight_messages {maximum}", f"max_packet_size {limit}"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        for number in range(alarms):
            image = {"frame": noise_png(120 if number % 2 else 12)} if number % 20 == 0 else None
            accept(outbox, f"a{number}", f"cam{number % 2}", AlarmEvent.RAISED, image)
        assert publisher.wait_until_delivered(300)
        wait_until(lambda: len(set(sequences(subscriber.on("/alarm")))) == alarms)
        wait_until(lambda: len(subscriber.on("/frame")) + len(subscriber.on("/omitted")) >= alarms // 20)


def test_wall_clock_that_jumps_delays_and_reorders_nothing(mosquitto: StartBroker, tmp_path: Path) -> None:
    """An hour forward, an hour back, and 1970, as on a device without a battery: durations use the monotonic clock."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: apt install gcc libc6-dev")
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#", client_id="plc")
    library, clock = tmp_path / "clock.so", tmp_path / "clock"
    clock.write_bytes(bytes(8))
    source = ROOT / "tests" / "support" / "clock.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), "INSPECTD_TEST_CLOCK": str(clock)}
    command = [sys.executable, "-m", "tests.support.jumping_agent", broker.url, str(tmp_path), str(clock)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[3] == "1970", "the clock did jump"
    wait_until(lambda: len(sequences(subscriber.on("/alarm"))) >= 20)
    assert sequences(subscriber.on("/alarm")) == list(range(1, 21)), "in order, none twice"
