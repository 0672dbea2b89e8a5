"""Commands over MQTT request/response, as somebody on the network sends them."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.commands import AGENT_COMMANDS, find_command
from agent.core.errors import InspectdError
from agent.messages.command import MAX_COMMAND_BYTES, CommandResponse, PauseRequest, parse_request
from agent.outputs.mqtt import requests as requests_module
from agent.outputs.mqtt.publisher import Publisher
from agent.outputs.mqtt.requests import MqttRequests
from agent.outputs.mqtt.subscriptions import may_answer_on
from agent.outputs.mqtt.topics import Topics
from tests.support.broker import Arrived, Mosquitto, Subscriber, wait_until
from tests.support.delivery import TOPICS, delivering

# `make test-faults` runs 10,000: INSPECTD_TEST_EXAMPLES=10000.
EXAMPLES = int(os.environ.get("INSPECTD_TEST_EXAMPLES", "150"))


class Agent:
    """Carries commands out by writing them down."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, bytes]] = []

    def execute(self, name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        self.calls.append((name, camera, payload))
        error = None
        try:
            parse_request(find_command(name).request, payload)
        except InspectdError as fault:
            error = str(fault)
        return CommandResponse(
            command=name, site="plant", camera=camera, at=datetime.now(timezone.utc), ok=error is None, error=error
        )


@pytest.fixture
def requester(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> Iterator[tuple[Agent, Publisher, Subscriber]]:
    """An agent that takes commands, and somebody who sends them and hears all answers."""
    broker = mosquitto()
    agent = Agent()
    with delivering(broker.url, tmp_path) as (_, publisher):
        MqttRequests(publisher, TOPICS, agent.execute)
        subscriber = Subscriber(broker, "desk/#", "inspectd/plant/response/#", "inspectd/plant/+/response/#")

        numbers = itertools.count()

        def heard() -> bool:
            """Asks and waits a little. Answers come in order: with the last one here, none is still to come."""
            said, end = str(next(numbers)).encode(), time.monotonic() + 1.0
            ask(subscriber, "inspectd/plant/command/status", b"", ResponseTopic="desk/me", CorrelationData=said)
            while time.monotonic() < end:
                if any(message.properties.CorrelationData == said for message in list(subscriber.messages)):
                    return True
                time.sleep(0.01)
            return False

        # Again and again: being connected does not mean being subscribed yet.
        wait_until(heard, what="the agent hears commands")
        agent.calls.clear()
        subscriber.messages.clear()
        yield agent, publisher, subscriber
        subscriber.close()


def ask(subscriber: Subscriber, topic: str, payload: bytes, **properties: Any) -> None:
    subscriber.publish(topic, payload, **properties)


def answers(subscriber: Subscriber) -> list[tuple[Arrived, dict[str, Any]]]:
    return [(message, json.loads(message.payload)) for message in list(subscriber.messages)]


Requester = tuple[Agent, Publisher, Subscriber]


def test_request_is_answered_on_its_response_topic_with_its_correlation(requester: Requester) -> None:
    agent, _, subscriber = requester
    topic = "inspectd/plant/cam/command/calibration/rollback"
    ask(subscriber, topic, b'{"to":"c1"}', ResponseTopic="desk/me", CorrelationData=b"\x00\x01")
    wait_until(lambda: subscriber.messages)
    ((message, answer),) = answers(subscriber)
    assert message.topic == "desk/me"
    assert message.properties.CorrelationData == b"\x00\x01"
    assert (answer["schema"], answer["command"], answer["camera"], answer["ok"]) == (
        "inspectd.response/1",
        "calibration/rollback",
        "cam",
        True,
    )
    assert agent.calls == [("calibration/rollback", "cam", b'{"to":"c1"}')]


def test_request_without_response_topic_is_answered_beside_the_command(requester: Requester) -> None:
    _, _, subscriber = requester
    ask(subscriber, "inspectd/plant/cam/command/pause", b"")
    wait_until(lambda: subscriber.messages)
    assert subscriber.messages[0].topic == "inspectd/plant/cam/response/pause"


def test_repeated_request_runs_once_and_is_answered_twice(requester: Requester) -> None:
    agent, _, subscriber = requester
    for _ in range(2):
        ask(subscriber, "inspectd/plant/cam/command/pause", b"", ResponseTopic="desk/me", CorrelationData=b"7")
    wait_until(lambda: len(subscriber.messages) == 2)
    assert len(agent.calls) == 1
    assert subscriber.messages[0].payload == subscriber.messages[1].payload


@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("shutdown", b"", "unknown command"),
        ("pause", b'{"when":"now"}', "when"),
        ("recalibrate", b'{"frames":"many"}', "frames"),
        ("pause", b"\xff\xfe", "JSON"),
        ("pause", b"[" * 5000, "recursion|JSON"),
        ("pause", b"x" * 10_000_000, "10000000 bytes"),
    ],
)
def test_bad_request_gets_an_error_answer(requester: Requester, name: str, payload: bytes, said: str) -> None:
    _, _, subscriber = requester
    ask(subscriber, f"inspectd/plant/cam/command/{name}", payload)
    wait_until(lambda: subscriber.messages)
    ((_, answer),) = answers(subscriber)
    assert answer["ok"] is False
    assert any(word in answer["error"] for word in said.split("|"))
    assert len(answer["error"]) < 300
    assert "\n" not in answer["error"]


def test_retained_command_is_refused(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """It would be carried out again with every connection."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/+/response/#")
    subscriber.publish("inspectd/plant/cam/command/pause", b"{}", retain=True)
    agent = Agent()
    with delivering(broker.url, tmp_path) as (_, publisher):
        MqttRequests(publisher, TOPICS, agent.execute)
        wait_until(lambda: subscriber.messages)
    assert "retained" in json.loads(subscriber.messages[0].payload)["error"]
    assert agent.calls == []


def test_command_that_is_retained_while_the_agent_listens_is_refused_at_once(requester: Requester) -> None:
    """Not only when it comes again: whoever left the flag set by mistake is told now."""
    agent, _, subscriber = requester
    subscriber.publish("inspectd/plant/cam/command/pause", b"{}", retain=True)
    wait_until(lambda: subscriber.messages)
    assert "retained" in json.loads(subscriber.messages[0].payload)["error"]
    assert agent.calls == []


@pytest.mark.parametrize(("options", "said"), [({"allowed": ["status"]}, "allow"), ({"trusted": False}, "TLS")])
def test_command_that_the_settings_do_not_allow_is_refused(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/+/response/#")
    agent = Agent()
    with delivering(broker.url, tmp_path) as (_, publisher):
        MqttRequests(publisher, TOPICS, agent.execute, **options)
        wait_until(lambda: publisher.connected)

        def asked() -> bool:
            subscriber.publish("inspectd/plant/cam/command/pause", b"{}")
            return bool(subscriber.messages)

        wait_until(asked)
    assert said in json.loads(subscriber.messages[0].payload)["error"]
    assert agent.calls == []


def test_command_that_hangs_holds_up_no_delivery(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    from tests.support.delivery import accept

    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    entered, leave = threading.Event(), threading.Event()

    def hang(name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        entered.set()
        leave.wait(30)
        raise RuntimeError("broken")

    with delivering(broker.url, tmp_path) as (outbox, publisher):
        MqttRequests(publisher, TOPICS, hang)
        wait_until(lambda: publisher.connected)
        wait_until(lambda: subscriber.publish("inspectd/plant/cam/command/pause", b"") or entered.is_set())
        accept(outbox, "a1")
        assert publisher.wait_until_delivered(10)
        leave.set()
        wait_until(lambda: subscriber.on("/response/pause"))
    assert json.loads(subscriber.on("/response/pause")[0].payload)["ok"] is False


def test_answer_that_the_broker_has_no_room_for_is_an_error_that_says_so(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto(lines=["max_packet_size 4000"])
    subscriber = Subscriber(broker, "inspectd/plant/+/response/#")

    def execute(name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        now = datetime.now(timezone.utc)
        return CommandResponse(command=name, site="plant", camera=camera, at=now, ok=True, result={"long": "x" * 5000})

    with delivering(broker.url, tmp_path) as (_, publisher):
        MqttRequests(publisher, TOPICS, execute)

        def asked() -> bool:
            subscriber.publish("inspectd/plant/cam/command/snapshot", b"")
            return bool(subscriber.messages)

        wait_until(asked)
    answer = json.loads(subscriber.messages[0].payload)
    assert answer["ok"] is False
    assert answer["error"].endswith("the broker takes 4000 in a packet")


def test_long_answers_are_not_kept_without_end(requester: Requester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of answers beyond the limit the latest is kept: that request is carried out once, an older one again."""
    agent, _, subscriber = requester
    monkeypatch.setattr(requests_module, "MAX_KEPT_BYTES", 1)
    for correlation in (b"a", b"b", b"b", b"a"):
        ask(subscriber, "inspectd/plant/cam/command/pause", b"", ResponseTopic="desk/me", CorrelationData=correlation)
    wait_until(lambda: len(subscriber.messages) == 4)
    assert len(agent.calls) == 3


@pytest.mark.parametrize(
    ("topic", "may"),
    [
        ("desk/me", True),
        ("inspectd/plant/cam/response/x", True),
        ("inspectd/plant/cam/alarm", False),
        ("inspectd/plant/status", False),
        ("a/+/b", False),
        ("#", False),
        ("$SYS/x", False),
        ("", False),
        ("x" * 2000, False),
    ],
)
def test_answer_goes_to_no_topic_of_the_agent(topic: str, may: bool) -> None:
    assert may_answer_on(topic, Topics("plant").owned_filters()) is may


@pytest.mark.parametrize(
    ("topic", "may"),
    [
        ("acme/plant/agent/status", False),
        ("acme/plant/cameras/cam/inspectd/alarm", False),
        ("homeassistant/device/inspectd_plant_cam/config", False),
        ("acme/plant/cameras/cam/inspectd/response/x", True),
        ("acme/plant/desk", True),
    ],
)
def test_answer_goes_to_no_topic_of_an_agent_in_a_tree_of_the_plants_own(topic: str, may: bool) -> None:
    """Its cameras need not be below the agent."""
    tree = Topics("plant", "acme/{site}/agent", "acme/{site}/cameras/{camera}/inspectd", home_assistant="homeassistant")
    assert may_answer_on(topic, tree.owned_filters()) is may


def test_answer_beside_the_command_survives_a_line_of_that_name(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "acme/#")
    tree = Topics("plant", "acme/{line}/{site}", levels={"line": "command"})
    with delivering(broker.url, tmp_path, topics=tree) as (_, publisher):
        MqttRequests(publisher, tree, Agent().execute)

        def asked() -> bool:
            subscriber.publish("acme/command/plant/cam/command/pause", b"{}")
            return bool(subscriber.on("/response/pause"))

        wait_until(asked)
    assert subscriber.on("/response/pause")[0].topic == "acme/command/plant/cam/response/pause"


def outcome(name: str, payload: bytes) -> Any:
    """The request, or what is said against it; any other error fails the test."""
    try:
        return parse_request(find_command(name).request, payload)
    except InspectdError as error:
        return str(error)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    name=st.one_of(st.sampled_from(sorted(AGENT_COMMANDS)), st.text()),
    payload=st.one_of(st.binary(), st.text().map(str.encode)),
)
def test_any_bytes_are_a_request_or_one_line(name: str, payload: bytes) -> None:
    result = outcome(name, payload)
    if isinstance(result, str):
        assert result.isprintable()
        assert len(result) < 400
    else:
        assert isinstance(result, AGENT_COMMANDS[name].request)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    sorted({field for command in AGENT_COMMANDS.values() for field in command.request.model_fields} | {"schema"})
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(name=st.sampled_from(sorted(AGENT_COMMANDS)), fields=st.dictionaries(field_names, json_values, max_size=4))
def test_any_json_is_a_request_or_one_line(name: str, fields: dict[str, Any]) -> None:
    result = outcome(name, json.dumps(fields).encode())
    assert isinstance(result, AGENT_COMMANDS[name].request) or (result.isprintable() and len(result) < 400)


def test_oversized_request_is_not_parsed() -> None:
    with pytest.raises(InspectdError, match="at most"):
        parse_request(PauseRequest, b" " * (MAX_COMMAND_BYTES + 1))
