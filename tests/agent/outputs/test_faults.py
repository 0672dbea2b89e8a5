"""What may happen on the way to the broker beside its death: refusals, resets, hangs, a stolen name, a wrong clock.

Each runs a few times in `make test` and many times in `make test-faults`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.core.records import AlarmEvent
from agent.outputs.mqtt import publisher as publisher_module
from agent.outputs.mqtt import session as session_module
from agent.outputs.mqtt.publisher import Publisher
from agent.outputs.outbox import Outbox
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import TOPICS, accept, delivering, first_arrivals, noise_png, sequences
from tests.support.tap import Tap

StartBroker = Callable[..., Mosquitto]

ROOT = Path(__file__).parents[3]


def few_or(many: int) -> list[object]:
    """Three times in `make test`, `many` times in `make test-faults`."""
    return [3, pytest.param(many, marks=[pytest.mark.faults, pytest.mark.timeout(900)])]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are a minute in a plant are a second here."""
    monkeypatch.setattr(session_module, "PUBACK_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(session_module, "RETRY_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(session_module, "RETRY_MAX_SECONDS", 0.1)
    monkeypatch.setattr(publisher_module, "CONNACK_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(publisher_module, "RECONNECT_FIRST_SECONDS", 0.05)
    monkeypatch.setattr(publisher_module, "RECONNECT_MAX_SECONDS", 0.5)


@pytest.fixture
def taps() -> Iterator[Callable[[Mosquitto], Tap]]:
    """Puts a tap on the line to a broker; all are closed."""
    made: list[Tap] = []

    def make(broker: Mosquitto) -> Tap:
        made.append(Tap(broker.port))
        return made[-1]

    yield make
    for tap in made:
        tap.close()


def raise_alarms(outbox: Outbox, count: int) -> None:
    """Alarms of two cameras in turn, raised and cleared, each second one with an image."""
    for _ in range(count):
        number = outbox.counts().sequence
        event = AlarmEvent.CLEARED if number // 2 % 2 else AlarmEvent.RAISED
        images = {"heatmap": noise_png(24)} if event is AlarmEvent.RAISED else None
        accept(outbox, f"a{number // 4 * 2 + number % 2}", f"cam{number % 2}", event, images)


def assert_all_arrived_in_order(subscriber: Subscriber, outbox: Outbox, publisher: Publisher) -> None:
    """Every number, in order for each camera; what came twice came with the same content."""
    last = outbox.counts().sequence
    assert publisher.wait_until_delivered(60)
    # All of them, not the last alone: another camera's may still be between the broker and the subscriber.
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
def test_refusals_for_a_while_lose_nothing(
    mosquitto: StartBroker, taps: Callable[[Mosquitto], Tap], tmp_path: Path, code: int, cycles: int
) -> None:
    """Unspecified error, implementation specific error, not authorized, quota exceeded: in PUBACK, then no more."""
    broker = mosquitto()
    tap = taps(broker)
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(f"mqtt://127.0.0.1:{tap.port}", tmp_path) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            tap.refuse_with, before = code, tap.refused
            raise_alarms(outbox, 4)
            # Fewer than it takes for an image to be given up.
            wait_until(lambda before=before: tap.refused >= before + 3)
            assert outbox.alarms_waiting() == 4, "what the broker refuses stays"
            tap.refuse_with = None
            assert publisher.wait_until_delivered(20)
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
    """RST in the middle of packets, with alarms and images on their way; nobody takes it for a fault of the store."""
    broker = mosquitto()
    tap = taps(broker)
    subscriber = Subscriber(broker, "inspectd/#")
    rng = np.random.default_rng(cycles)
    with delivering(f"mqtt://127.0.0.1:{tap.port}", tmp_path) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            raise_alarms(outbox, int(rng.integers(1, 12)))
            tap.reset()
        assert_all_arrived_in_order(subscriber, outbox, publisher)
    assert not [record for record in caplog.records if record.name == "agent.outputs.mqtt.session"]


@pytest.mark.parametrize("cycles", few_or(30))
def test_broker_that_hangs_again_and_again_loses_nothing(mosquitto: StartBroker, tmp_path: Path, cycles: int) -> None:
    """SIGSTOP: half-open, nothing comes back; sometimes for so short that nobody notices."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#", client_id="plc")
    rng = np.random.default_rng(cycles)
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            broker.suspend()
            raise_alarms(outbox, int(rng.integers(1, 12)))
            publisher.wait_until_delivered(float(rng.uniform(0.0, 1.2)))
            assert outbox.alarms_waiting() > 0, "nothing is acknowledged meanwhile"
            broker.resume()
        assert_all_arrived_in_order(subscriber, outbox, publisher)


@pytest.mark.parametrize("cycles", few_or(50))
def test_session_that_others_take_over_loses_nothing(mosquitto: StartBroker, tmp_path: Path, cycles: int) -> None:
    """Somebody else connects with the agent's client id, again and again; the agent comes back each time."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            raise_alarms(outbox, 5)
            Subscriber(broker, "nothing/#", client_id=TOPICS.client_id).close()
            wait_until(lambda: publisher.connected)
        assert_all_arrived_in_order(subscriber, outbox, publisher)


@pytest.mark.parametrize("maximum", [1, 20])
@pytest.mark.parametrize("limit", [2_000, 20_000])
@pytest.mark.parametrize("alarms", [pytest.param(2000, marks=[pytest.mark.faults, pytest.mark.timeout(900)])])
def test_broker_that_takes_little_at_a_time_gets_every_alarm(
    mosquitto: StartBroker, tmp_path: Path, maximum: int, limit: int, alarms: int
) -> None:
    """Receive Maximum and a packet limit that some or all of the images are above."""
    broker = mosquitto(lines=[f"max_inflight_messages {maximum}", f"max_packet_size {limit}"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        for number in range(alarms):
            image = {"frame": noise_png(120 if number % 2 else 12)} if number % 20 == 0 else None
            accept(outbox, f"a{number}", f"cam{number % 2}", AlarmEvent.RAISED, image)
        assert publisher.wait_until_delivered(300)
        wait_until(lambda: len(set(sequences(subscriber.on("/alarm")))) == alarms)
        wait_until(lambda: len(subscriber.on("/frame")) + len(subscriber.on("/omitted")) >= alarms // 20)


def test_clock_that_jumps_delays_and_disorders_nothing(mosquitto: StartBroker, tmp_path: Path) -> None:
    """An hour forth, an hour back, and 1970, as a device without a battery has it: durations go by another clock."""
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
    assert sequences(subscriber.on("/alarm")) == list(range(1, 21)), "in order, and none twice"
