"""One connection of the publisher: what it publishes at its beginning and its end, and what it checks meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from agent.core.records import Phase
from agent.messages.base import parse
from agent.messages.state import StatePayload
from agent.messages.status import StatusPayload
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import AT, QUICK, TOPICS, accept, delivering
from tests.support.tap import Tap

StartBroker = Callable[..., Mosquitto]


def state(camera: str = "cam", **more: object) -> StatePayload:
    return StatePayload(site="plant", camera=camera, at=AT, phase=Phase.ARMED, **more)  # type: ignore[arg-type]


def test_presence_is_online_and_then_stopped(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/status")
    with delivering(broker.url, tmp_path) as (_, publisher):
        wait_until(lambda: subscriber.messages)
        online = parse(StatusPayload, subscriber.messages[-1].payload)
        assert publisher.stop(20.0)
        wait_until(lambda: len(subscriber.messages) == 2)
        stopped = parse(StatusPayload, subscriber.messages[-1].payload)
    assert (online.status.value, stopped.status.value) == ("online", "stopped")
    late = Subscriber(broker, "inspectd/plant/status")
    wait_until(lambda: late.messages)
    assert late.messages[0].retained
    assert json.loads(late.messages[0].payload)["status"] == "stopped"


def test_stop_without_an_answer_of_the_broker_keeps_what_is_not_delivered(
    mosquitto: StartBroker, tmp_path: Path
) -> None:
    broker = mosquitto()
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        wait_until(lambda: publisher.connected)
        broker.suspend()
        accept(outbox, "a0")
        assert not publisher.stop(0.5)
        assert outbox.waiting() == 1
        broker.resume()


def test_stop_does_not_wait_for_alarms_of_another_output(mosquitto: StartBroker, tmp_path: Path) -> None:
    """With 1,000 seconds to stop, it would wait for 500."""
    broker = mosquitto()
    with delivering(broker.url, tmp_path, output="line") as (outbox, publisher):
        wait_until(lambda: publisher.connected)
        accept(outbox, "of another output")
        assert publisher.stop(1000.0)
        assert outbox.alarms_waiting() == 1


def test_states_are_published_again_to_a_broker_that_lost_them(mosquitto: StartBroker, tmp_path: Path) -> None:
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


def test_rejected_subscription_is_a_problem_until_the_broker_accepts_it(
    mosquitto: StartBroker, taps: Callable[[Mosquitto], Tap], tmp_path: Path
) -> None:
    tap = taps(mosquitto())
    tap.reject_subscriptions_with = 0x87
    with delivering(tap.url, tmp_path, timing=QUICK) as (_, publisher):
        publisher.subscribe("inspectd/plant/command/#", lambda message: None)
        wait_until(lambda: publisher.report().problems)
        assert publisher.report().problems == [
            "the broker rejects the subscription to inspectd/plant/command/#: Not authorized"
        ]
        tap.reject_subscriptions_with = None
        tap.reset()
        wait_until(lambda: publisher.connected and not publisher.report().problems)


def test_state_before_the_last_one_is_published_too(mosquitto: StartBroker, tmp_path: Path) -> None:
    """An agent that stops at once after it is armed; without a connection, only the latest change counts."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/cam/state")
    broker.suspend()
    with delivering(broker.url, tmp_path) as (_, publisher):
        for phase in (Phase.STARTING, Phase.ARMED, Phase.STOPPED):
            publisher.publish_state("cam", StatePayload(site="plant", camera="cam", at=AT, phase=phase))
        broker.resume()
        wait_until(lambda: len(subscriber.messages) == 2)
        publisher.publish_state("cam", StatePayload(site="plant", camera="cam", at=AT, phase=Phase.ARMED))
        wait_until(lambda: len(subscriber.messages) == 3)
    phases = [json.loads(message.payload)["phase"] for message in subscriber.messages]
    assert phases == ["armed", "stopped", "armed"]
