"""The publisher against a real Mosquitto: order, loss, refusal, limits."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import paho.mqtt.client as paho
import pytest

from agent.core.records import AlarmEvent, Phase
from agent.messages.alarm import AlarmPayload, OmittedPayload
from agent.messages.base import parse
from agent.messages.state import StatePayload
from agent.messages.status import StatusPayload
from agent.outputs.mqtt import publisher as publisher_module
from agent.outputs.mqtt import session as session_module
from agent.outputs.mqtt.connection import Protocol
from agent.outputs.mqtt.packets import Outgoing
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import AT, TOPICS, accept, delivering, first_arrivals, noise_png, sequences

StartBroker = Callable[..., Mosquitto]


def state(camera: str = "cam", **more: object) -> StatePayload:
    return StatePayload(site="plant", camera=camera, at=AT, phase=Phase.ARMED, **more)  # type: ignore[arg-type]


def test_alarm_with_images_arrives_as_accepted(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    images = {"heatmap": noise_png(32), "overlay": noise_png(40)}
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        accept(outbox, "a1", images=images)
        wait_until(lambda: len(subscriber.on("/alarm")) == 1 and len(subscriber.on("/overlay")) == 1)
        assert publisher.wait_until_delivered(10)
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


def test_notice_waits_for_a_broker_that_is_away_and_arrives_once(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto(persistence=True)
    subscriber = Subscriber(broker, "inspectd/#", client_id="desk")
    subscriber.close()
    broker.stop()
    with delivering(broker.url, tmp_path) as (_, publisher):
        for number in range(3):
            publisher.notify(Outgoing(TOPICS.event("cam"), b'{"number":%d}' % number))
        broker.start()
        subscriber = Subscriber(broker, "inspectd/#", client_id="desk")
        wait_until(lambda: len(subscriber.on("/event")) == 3)
    wait_until(lambda: b"stopped" in subscriber.on("/status")[-1].payload)
    assert [json.loads(message.payload)["number"] for message in subscriber.on("/event")] == [0, 1, 2]
    assert not any(message.retained for message in subscriber.on("/event"))


def test_notice_on_its_way_when_the_connection_hangs_arrives_all_the_same(
    mosquitto: StartBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "PUBACK_TIMEOUT_SECONDS", 0.5)
    broker = mosquitto()
    with delivering(broker.url, tmp_path) as (_, publisher):
        wait_until(lambda: publisher.connected)
        broker.suspend()
        publisher.notify(Outgoing(TOPICS.event("cam"), b"{}"))
        wait_until(lambda: not publisher.connected)
        broker.kill()
        broker.start()
        subscriber = Subscriber(broker, "inspectd/#")
        wait_until(lambda: subscriber.on("/event"))


def test_notice_that_the_broker_refuses_or_has_no_room_for_holds_up_nothing(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rights = tmp_path / "acl"
    rights.write_text("topic read #\ntopic write inspectd/plant/+/alarm\ntopic write inspectd/plant/free/event\n")
    broker = mosquitto(lines=[f"acl_file {rights}", "max_packet_size 2000"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        publisher.notify(Outgoing(TOPICS.event("cam"), b"{}"))
        publisher.notify(Outgoing(TOPICS.event("free"), b"x" * 3000))
        publisher.notify(Outgoing(TOPICS.event("free"), b"{}"))
        accept(outbox, "a1")
        wait_until(lambda: subscriber.on("/event") and subscriber.on("/alarm"))
    assert [message.payload for message in subscriber.on("/event")] == [b"{}"]
    assert "refuses a notice" in caplog.text
    assert "3000 bytes, the broker takes 2000" in caplog.text


@pytest.mark.parametrize("protocol", Protocol)
def test_notice_that_the_connection_chokes_on_is_given_up_and_alarms_go_on(
    mosquitto: StartBroker, tmp_path: Path, protocol: Protocol
) -> None:
    """Mosquitto's `message_size_limit` is a limit that no broker names beforehand."""
    broker = mosquitto(lines=["message_size_limit 20000"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path, protocol=protocol) as (outbox, publisher):
        publisher.notify(Outgoing(TOPICS.snapshot("cam", "frame"), b"x" * 50_000, retain=True))
        publisher.notify(Outgoing(TOPICS.event("cam"), b"{}"))
        accept(outbox, "a1")
        wait_until(lambda: subscriber.on("/event") and subscriber.on("/alarm"), seconds=60)
    assert not subscriber.on("/frame")


def test_two_subscribers_get_the_same(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    both = Subscriber(broker, "inspectd/+/+/alarm"), Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        for number in range(10):
            accept(outbox, f"a{number}")
        assert publisher.wait_until_delivered(10)
        for subscriber in both:
            wait_until(lambda: len(subscriber.on("/alarm")) == 10)  # noqa: B023
            assert sequences(subscriber.on("/alarm")) == list(range(1, 11))


def test_broker_absent_at_start_delivers_later(
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
        assert publisher.wait_until_delivered(20)
        wait_until(lambda: first_arrivals(subscriber.on("/alarm"))[-1:] == [5])
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1, "first failure WARNING, repeats DEBUG"


def test_backlog_survives_restart_of_the_agent_in_order(mosquitto: StartBroker, tmp_path: Path) -> None:
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


def test_live_alarm_overtakes_images_of_the_backlog(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    broker.suspend()
    with delivering(broker.url, tmp_path, backlog_images_per_second=20.0) as (outbox, publisher):
        for number in range(10):
            accept(outbox, f"a{number}", images={name: noise_png(24) for name in ("heatmap", "overlay", "frame")})
        broker.resume()
        wait_until(lambda: len(subscriber.on("/heatmap")) > 0)
        accept(outbox, "live", images={"heatmap": noise_png(24)})
        assert publisher.wait_until_delivered(20)
        wait_until(lambda: len({message.topic for message in subscriber.messages if "/alarm/" in message.topic}) == 31)
    topics = [message.topic for message in subscriber.messages]
    live = max(index for index, topic in enumerate(topics) if topic.endswith("/alarm"))
    assert sum("/alarm/" in topic for topic in topics[live:]) > 10
    assert sequences(subscriber.on("/alarm")) == list(range(1, 12))


@pytest.mark.parametrize("maximum", [1, 2, 20])
def test_window_stays_within_receive_maximum(
    mosquitto: StartBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maximum: int
) -> None:
    broker = mosquitto(lines=[f"max_inflight_messages {maximum}"])
    in_flight: list[int] = []
    send = session_module.Session._send

    def watched(self: session_module.Session, *args: object, **options: object) -> None:
        send(self, *args, **options)  # type: ignore[arg-type]
        in_flight.append(len(self._in_flight))

    monkeypatch.setattr(session_module.Session, "_send", watched)
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        wait_until(lambda: publisher.connected)
        for number in range(20):
            accept(outbox, f"a{number}", camera=f"cam{number % 4}", images={"heatmap": noise_png(16)})
        assert publisher.wait_until_delivered(30)
        wait_until(lambda: len(subscriber.on("/heatmap")) == 20)
    assert max(in_flight) <= maximum
    assert sorted(sequences(subscriber.on("/alarm"))) == list(range(1, 21))


def test_image_beyond_packet_limit_is_shrunk_or_left_out(mosquitto: StartBroker, tmp_path: Path) -> None:
    """The heatmap comes smaller, the frame not at all but with a note, and nothing behind them waits."""
    broker = mosquitto(lines=["max_packet_size 6000"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        accept(outbox, "big", images={"heatmap": noise_png(128), "frame": noise_png(128)})
        accept(outbox, "small", images={"heatmap": noise_png(16)})
        assert publisher.wait_until_delivered(20)
        wait_until(lambda: subscriber.on("/omitted") and len(subscriber.on("/heatmap")) == 2)
        counts = outbox.counts()
    (shrunk,) = subscriber.on("/alarm/big/heatmap")
    assert dict(shrunk.properties.UserProperty)["scale"] == "0.2500"
    assert cv2.imdecode(np.frombuffer(shrunk.payload, np.uint8), cv2.IMREAD_COLOR).shape == (32, 32, 3)
    note = parse(OmittedPayload, subscriber.on("/omitted")[0].payload)
    assert (note.id, note.picture, note.limit_bytes) == ("big", "frame", 6000)
    assert not subscriber.on("/alarm/big/frame")
    assert subscriber.on("/alarm/small/heatmap")[0].payload == noise_png(16)
    assert (counts.omitted_pictures, counts.dead_letters) == (1, 0)


def test_puback_too_large_leaves_the_image_out(mosquitto: StartBroker, tmp_path: Path) -> None:
    """A limit that the broker did not name and answers with reason code 0x95."""
    broker = mosquitto(lines=["message_size_limit 3000"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        accept(outbox, "big", images={"frame": noise_png(64), "heatmap": noise_png(16)})
        assert publisher.wait_until_delivered(20)
        wait_until(lambda: subscriber.on("/omitted") and subscriber.on("/heatmap"))
    assert parse(OmittedPayload, subscriber.on("/omitted")[0].payload).picture == "frame"


def _only_images_denied(directory: Path) -> list[str]:
    acl = directory / "acl"
    acl.write_text(
        "topic readwrite inspectd/plant/status\ntopic readwrite inspectd/plant/good/#\n"
        "topic readwrite inspectd/plant/mute/alarm\ntopic read #\n"
    )
    acl.chmod(0o600)
    return [f"acl_file {acl}"]


def test_refused_image_becomes_a_dead_letter_and_refused_alarm_waits(
    mosquitto: StartBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PUBACK 0x87: what paho counts as published stays here. Another camera is not held up."""
    monkeypatch.setattr(session_module, "RETRY_FIRST_SECONDS", 0.01)
    broker = mosquitto(lines=_only_images_denied(tmp_path))
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        accept(outbox, "a1", camera="mute", images={"heatmap": noise_png(16)})
        accept(outbox, "a2", camera="deaf")
        accept(outbox, "a3", camera="good", images={"heatmap": noise_png(16)})
        wait_until(lambda: outbox.waiting() == 1)
        wait_until(lambda: subscriber.on("good/alarm/a3/heatmap") and subscriber.on("mute/alarm"))
        wait_until(lambda: any("refuses" in problem for problem in publisher.report().problems))
        counts = outbox.counts()
        assert [row.alarm for row in outbox.next_alarms(10)] == ["a2"]
        assert not publisher.wait_until_delivered(0.3)
    assert not subscriber.on("deaf/alarm")
    assert counts.dead_letters == 1


def test_alarm_refused_for_a_while_keeps_its_place(
    mosquitto: StartBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker whose rights are mended: the camera's alarms come in order, none overtook the refused one."""
    monkeypatch.setattr(session_module, "RETRY_FIRST_SECONDS", 0.05)
    monkeypatch.setattr(session_module, "RETRY_MAX_SECONDS", 0.1)
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite inspectd/plant/status\ntopic read #\n")
    acl.chmod(0o600)
    broker = mosquitto(lines=[f"acl_file {acl}"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        for number in range(5):
            accept(outbox, f"a{number}")
        wait_until(lambda: any("refuses" in problem for problem in publisher.report().problems))
        assert outbox.waiting() == 5
        acl.write_text("topic readwrite #\n")
        broker.reload()
        assert publisher.wait_until_delivered(20)
        wait_until(lambda: len(subscriber.on("/alarm")) == 5)
    assert sequences(subscriber.on("/alarm")) == [1, 2, 3, 4, 5]


def test_broker_that_hangs_is_noticed(
    mosquitto: StartBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGSTOP: the connection stays open and nothing comes back."""
    monkeypatch.setattr(session_module, "PUBACK_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(publisher_module, "CONNACK_TIMEOUT_SECONDS", 0.5)
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        accept(outbox, "a0")
        assert publisher.wait_until_delivered(10)
        broker.suspend()
        for number in range(1, 10):
            accept(outbox, f"a{number}")
        wait_until(lambda: "taken for dead" in caplog.text)
        assert not publisher.wait_until_delivered(0.2)
        broker.resume()
        assert publisher.wait_until_delivered(20)
        wait_until(lambda: len(first_arrivals(subscriber.on("/alarm"))) == 10)
    assert first_arrivals(subscriber.on("/alarm")) == list(range(1, 11))


@pytest.mark.parametrize("cycles", [8, pytest.param(100, marks=[pytest.mark.faults, pytest.mark.timeout(900)])])
def test_killed_broker_loses_nothing_that_it_had_not_acknowledged(
    mosquitto: StartBroker, tmp_path: Path, cycles: int
) -> None:
    """SIGKILL again and again while alarms come: what is missing at a subscriber, the broker had acknowledged."""
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
    assert missing <= before_kill, "a PUBACK is as far as the promise goes"
    for camera in ("cam0", "cam1"):
        order = first_arrivals(subscriber.on(f"{camera}/alarm"))
        assert order == sorted(order)


def test_presence_is_online_offline_and_stopped(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/status")
    with delivering(broker.url, tmp_path) as (_, publisher):
        wait_until(lambda: subscriber.messages)
        online = parse(StatusPayload, subscriber.messages[-1].payload)
        assert publisher.stop(2.0)
        wait_until(lambda: len(subscriber.messages) == 2)
        stopped = parse(StatusPayload, subscriber.messages[-1].payload)
    assert (online.status.value, stopped.status.value) == ("online", "stopped")
    late = Subscriber(broker, "inspectd/plant/status")
    wait_until(lambda: late.messages)
    assert late.messages[0].retained
    assert json.loads(late.messages[0].payload)["status"] == "stopped"


def test_state_is_told_again_to_a_broker_that_forgot(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    with delivering(broker.url, tmp_path) as (_, publisher):
        publisher.publish_state("cam", state(frames=1))
        publisher.publish_state("cam", state(frames=2))
        publisher.publish_state("other", state("other"))
        wait_until(lambda: publisher.connected)
        broker.kill()
        broker.start()
        wait_until(lambda: publisher.connected)
        subscriber = Subscriber(broker, "inspectd/plant/+/state")
        wait_until(lambda: len({message.topic for message in subscriber.messages}) == 2)
    latest = parse(StatePayload, subscriber.on("cam/state")[-1].payload)
    assert latest.frames == 2


def test_telemetry_is_dropped_while_offline(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    broker.suspend()
    with delivering(broker.url, tmp_path) as (_, publisher):
        publisher.publish_telemetry(TOPICS.score("cam"), b"old")
        broker.resume()
        wait_until(lambda: publisher.connected)
        publisher.publish_telemetry(TOPICS.score("cam"), b"new")
        wait_until(lambda: subscriber.on("/score"))
    assert [message.payload for message in subscriber.on("/score")] == [b"new"]


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

        def asked() -> bool:
            """Again and again: being connected does not mean being subscribed yet."""
            subscriber.publish("inspectd/plant/command/x", b"")
            return "message on" in caplog.text

        wait_until(asked)
        for number in range(3):
            accept(outbox, f"a{number}")
        assert publisher.wait_until_delivered(10)
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
        first.join(10)
        assert not first.is_alive()
        accept(outbox, "a1")
        assert publisher.wait_until_delivered(10)
    assert "thread died" in caplog.text


def test_unexpected_error_in_the_loop_is_survived(
    mosquitto: StartBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto()
    failing = threading.Event()
    failing.set()
    pump = session_module.Session.pump

    def sometimes(self: session_module.Session, **options: bool) -> None:
        if failing.is_set():
            failing.clear()
            raise ZeroDivisionError
        pump(self, **options)

    monkeypatch.setattr(session_module.Session, "pump", sometimes)
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        accept(outbox, "a0")
        assert publisher.wait_until_delivered(10)
    assert "unexpected error" in caplog.text


def test_mqtt_3_1_1_delivers_too(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#", protocol=paho.MQTTv311)
    with delivering(broker.url, tmp_path, protocol=Protocol.MQTT_3_1_1) as (outbox, publisher):
        accept(outbox, "a0", images={"heatmap": noise_png(16)})
        assert publisher.wait_until_delivered(10)
        wait_until(lambda: subscriber.on("/heatmap") and subscriber.on("/alarm"))


def test_stop_keeps_its_deadline_and_what_was_not_delivered(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        wait_until(lambda: publisher.connected)
        broker.suspend()
        accept(outbox, "a0")
        assert not publisher.stop(0.5)
        assert outbox.waiting() == 1
        broker.resume()
