"""The publisher with a real Mosquitto: every alarm arrives, in the order of its camera, whatever fails meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest

from agent.core.records import AlarmEvent
from agent.messages.alarm import AlarmPayload
from agent.messages.base import parse
from agent.mqtt import Protocol
from agent.outputs.mqtt.delivery import Timing
from agent.outputs.outbox import Outbox, Row
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import QUICK, accept, delivering, first_arrivals, noise_png, sequences
from tests.support.tap import Tap

StartBroker = Callable[..., Mosquitto]


def test_alarm_with_images_arrives_as_accepted(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    images = {"heatmap": noise_png(32), "overlay": noise_png(40)}
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        accept(outbox, "a1", images=images)
        wait_until(lambda: len(subscriber.on("/alarm")) == 1 and len(subscriber.on("/overlay")) == 1)
        assert publisher.wait_until_delivered(60)
        report = publisher.report()
    alarm = parse(AlarmPayload, subscriber.on("/alarm")[0].payload)
    assert (alarm.id, alarm.sequence, alarm.event) == ("a1", 1, AlarmEvent.RAISED)
    for name, payload in images.items():
        (arrived,) = subscriber.on(f"/alarm/a1/{name}")
        assert arrived.payload == payload
        assert arrived.topic == alarm.evidence[name].topic
        assert arrived.properties.ContentType == "image/png"
        assert dict(arrived.properties.UserProperty) == {"alarm": "a1", "sequence": "1", "part": name}
    assert report.connected
    assert report.outbox.waiting == 0
    assert report.latency_ms is not None


def test_two_subscribers_get_the_same(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    both = Subscriber(broker, "inspectd/+/+/alarm"), Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        for number in range(10):
            accept(outbox, f"a{number}")
        assert publisher.wait_until_delivered(60)
        for subscriber in both:
            wait_until(lambda: len(subscriber.on("/alarm")) == 10)  # noqa: B023
            assert sequences(subscriber.on("/alarm")) == list(range(1, 11))


def test_mqtt_3_1_1_delivers_too(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#", protocol=paho.MQTTv311)
    with delivering(broker.url, tmp_path, protocol=Protocol.MQTT_3_1_1) as (outbox, publisher):
        accept(outbox, "a0", images={"heatmap": noise_png(16)})
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: subscriber.on("/heatmap") and subscriber.on("/alarm"))


# Order and limits


def test_live_alarm_overtakes_images_of_the_backlog(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    broker.suspend()
    with delivering(broker.url, tmp_path, timing=Timing(backlog_images_per_second=20.0)) as (outbox, publisher):
        for number in range(10):
            accept(outbox, f"a{number}", images={name: noise_png(24) for name in ("heatmap", "overlay", "frame")})
        broker.resume()
        wait_until(lambda: len(subscriber.on("/heatmap")) > 0)
        accept(outbox, "live", images={"heatmap": noise_png(24)})
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: len({message.topic for message in subscriber.messages if "/alarm/" in message.topic}) == 31)
    topics = [message.topic for message in subscriber.messages]
    live = max(index for index, topic in enumerate(topics) if topic.endswith("/alarm"))
    assert sum("/alarm/" in topic for topic in topics[live:]) > 10
    assert sequences(subscriber.on("/alarm")) == list(range(1, 12))


@pytest.mark.parametrize("maximum", [1, 2, 20])
def test_window_stays_within_receive_maximum(
    mosquitto: StartBroker, taps: Callable[[Mosquitto], Tap], tmp_path: Path, maximum: int
) -> None:
    """As counted between publisher and broker."""
    broker = mosquitto(lines=[f"max_inflight_messages {maximum}"])
    tap = taps(broker)
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(tap.url, tmp_path) as (outbox, publisher):
        wait_until(lambda: publisher.connected)
        for number in range(20):
            accept(outbox, f"a{number}", camera=f"cam{number % 4}", images={"heatmap": noise_png(16)})
        assert publisher.wait_until_delivered(30)
        wait_until(lambda: len(subscriber.on("/heatmap")) == 20)
    assert 0 < tap.most_in_flight <= maximum
    assert sorted(sequences(subscriber.on("/alarm"))) == list(range(1, 21))


# Brokers that are absent, hang or are killed


def test_alarms_wait_for_a_broker_that_is_absent_at_the_start(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto()
    broker.stop()
    with caplog.at_level(logging.DEBUG), delivering(broker.url, tmp_path) as (outbox, publisher):
        for number in range(5):
            accept(outbox, f"a{number}")
        wait_until(lambda: "nothing listens there" in caplog.text)
        assert not publisher.connected
        wait_until(lambda: caplog.text.count("nothing listens there") >= 2)
        broker.start()
        subscriber = Subscriber(broker, "inspectd/+/+/alarm")
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: first_arrivals(subscriber.on("/alarm"))[-1:] == [5])
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1, "first failure WARNING, repeats DEBUG"


def test_backlog_survives_a_restart_of_the_agent_in_order(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    broker.suspend()
    with delivering(broker.url, tmp_path) as (outbox, _):
        for number in range(60):
            accept(outbox, f"a{number}", camera=f"cam{number % 2}", images={"heatmap": noise_png(16)})
    broker.resume()
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        assert outbox.waiting() > 0
        accept(outbox, "live", camera="cam0")
        assert publisher.wait_until_delivered(30)
        wait_until(lambda: len(first_arrivals(subscriber.on("/alarm"))) == 61)
        wait_until(lambda: len({message.topic for message in subscriber.on("/heatmap")}) == 60)
    for camera in ("cam0", "cam1"):
        order = first_arrivals(subscriber.on(f"{camera}/alarm"))
        assert order == sorted(order)
    assert sorted(first_arrivals(subscriber.on("/alarm"))) == list(range(1, 62))


def test_broker_that_hangs_is_noticed(mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SIGSTOP: the connection stays open, and nothing comes back."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        accept(outbox, "a0")
        assert publisher.wait_until_delivered(60)
        broker.suspend()
        for number in range(1, 10):
            accept(outbox, f"a{number}")
        wait_until(lambda: "PUBACK timeout" in caplog.text)
        assert outbox.alarms_waiting() == 9
        broker.resume()
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: len(first_arrivals(subscriber.on("/alarm"))) == 10)
    assert first_arrivals(subscriber.on("/alarm")) == list(range(1, 11))


@pytest.mark.parametrize("cycles", [8, pytest.param(100, marks=[pytest.mark.faults, pytest.mark.timeout(900)])])
def test_killed_broker_loses_nothing_that_it_had_not_acknowledged(
    mosquitto: StartBroker, tmp_path: Path, cycles: int
) -> None:
    """SIGKILL again and again while alarms are sent: the broker had acknowledged what a subscriber misses."""
    broker = mosquitto(persistence=True)
    subscriber = Subscriber(broker, "inspectd/#", client_id="plc")
    acknowledged: set[int] = set()
    before_kill: set[int] = set()
    accepted = 0
    rng = np.random.default_rng(1)
    hook = lambda row, _: acknowledged.add(row.sequence)  # noqa: E731
    with delivering(broker.url, tmp_path, delivered=hook) as (outbox, publisher):
        for _ in range(cycles):
            wait_until(lambda: publisher.connected)
            for _ in range(int(rng.integers(5, 40))):
                accepted = accept(outbox, f"a{accepted}", camera=f"cam{accepted % 2}")
            publisher.wait_until_delivered(float(rng.uniform(0.0, 0.5)))
            broker.kill()
            wait_until(lambda: not publisher.connected)
            before_kill |= acknowledged
            broker.start()
        assert publisher.wait_until_delivered(30 + 2 * cycles)
        wait_until(lambda: accepted in before_kill or accepted in sequences(subscriber.on("/alarm")))
    assert acknowledged == set(range(1, accepted + 1))
    missing = acknowledged - set(sequences(subscriber.on("/alarm")))
    assert missing <= before_kill, "the promise ends with the PUBACK"
    for camera in ("cam0", "cam1"):
        order = first_arrivals(subscriber.on(f"{camera}/alarm"))
        assert order == sorted(order)


# Errors of our own


def test_errors_in_hooks_and_handlers_stop_nothing(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")

    def fail(*_: object) -> None:
        raise RuntimeError("broken hook")

    with delivering(broker.url, tmp_path, delivered=fail) as (outbox, publisher):
        publisher.subscribe("inspectd/plant/command/#", fail)
        wait_until(lambda: publisher.connected)

        def handler_called() -> bool:
            """Tried repeatedly: the broker may not have the subscription yet."""
            subscriber.publish("inspectd/plant/command/x", b"")
            return "message on" in caplog.text

        wait_until(handler_called)
        for number in range(3):
            accept(outbox, f"a{number}")
        assert publisher.wait_until_delivered(60)
        assert outbox.waiting() == 0
    assert caplog.text.count("broken hook") >= 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_dead_thread_is_noticed_and_replaced(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto()
    deaths = iter([SystemExit()])

    def die_once(*_: object) -> None:
        for death in deaths:
            raise death

    with delivering(broker.url, tmp_path, delivered=die_once) as (outbox, publisher):
        first = publisher._thread
        assert first is not None
        accept(outbox, "a0")
        first.join(60)
        assert not first.is_alive()
        accept(outbox, "a1")
        assert publisher.wait_until_delivered(60)
    assert "thread died" in caplog.text


class BrokenOnce(Outbox):
    """An outbox with a bug: it raises what is no error of ours, once."""

    broken = True

    def next_alarms(self, limit: int, **options: Any) -> list[Row]:
        if self.broken and self.alarms_waiting() > 0:
            self.broken = False
            raise ZeroDivisionError
        return super().next_alarms(limit, **options)


def test_unexpected_error_in_the_loop_is_survived(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto()
    with delivering(broker.url, tmp_path, outbox=BrokenOnce(tmp_path / "outbox.sqlite")) as (outbox, publisher):
        accept(outbox, "a0")
        assert publisher.wait_until_delivered(60)
    assert "unexpected error" in caplog.text
    assert "ZeroDivisionError" in caplog.text
