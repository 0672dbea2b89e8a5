"""Commands over MQTT request/response, as a client on the network sends them."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.commands import AGENT_COMMANDS, find_command
from agent.core.errors import InspectdError
from agent.messages.command import MAX_COMMAND_BYTES, CommandResponse, PauseRequest, parse_request
from agent.outputs.mqtt.delivery import Publisher
from agent.outputs.mqtt.requests import MqttRequests
from agent.outputs.mqtt.topics import Topics
from tests.support.broker import Arrived, Mosquitto, Subscriber, wait_until
from tests.support.delivery import TOPICS, accept, delivering

# `make test-faults` runs 10,000: INSPECTD_TEST_EXAMPLES=10000.
EXAMPLES = int(os.environ.get("INSPECTD_TEST_EXAMPLES", "150"))


class Agent:
    """Executes commands by recording them."""

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


@contextmanager
def taking_requests(
    broker: Mosquitto, directory: Path, **options: Any
) -> Iterator[tuple[Agent, Publisher, Subscriber]]:
    """An agent that takes commands, with `options`, and a client that sends them and receives all responses."""
    agent = Agent()
    with delivering(broker.url, directory) as (_, publisher):
        MqttRequests(publisher, TOPICS, agent.execute, **options)
        subscriber = Subscriber(broker, "desk/#", "inspectd/plant/response/#", "inspectd/plant/+/response/#")
        numbers = itertools.count()

        def answered() -> bool:
            """Send a request and wait a little. Responses arrive in order: after the last, none is missing."""
            data, end = str(next(numbers)).encode(), time.monotonic() + 1.0
            ask(subscriber, "inspectd/plant/command/status", b"", ResponseTopic="desk/me", CorrelationData=data)
            while time.monotonic() < end:
                if any(message.properties.CorrelationData == data for message in list(subscriber.messages)):
                    return True
                time.sleep(0.01)
            return False

        # Tried repeatedly: the broker may not have the subscription yet.
        wait_until(answered, what="a response of the agent")
        agent.calls.clear()
        subscriber.messages.clear()
        yield agent, publisher, subscriber
        subscriber.close()


@pytest.fixture
def requester(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> Iterator[tuple[Agent, Publisher, Subscriber]]:
    with taking_requests(mosquitto(), tmp_path) as made:
        yield made


def ask(subscriber: Subscriber, topic: str, payload: bytes, **properties: Any) -> None:
    subscriber.publish(topic, payload, **properties)


def answers(subscriber: Subscriber) -> list[tuple[Arrived, dict[str, Any]]]:
    return [(message, json.loads(message.payload)) for message in list(subscriber.messages)]


Requester = tuple[Agent, Publisher, Subscriber]


def test_request_is_answered_on_its_response_topic_with_its_correlation_data(requester: Requester) -> None:
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


def test_repeated_request_is_executed_once_and_answered_twice(requester: Requester) -> None:
    agent, _, subscriber = requester
    for _ in range(2):
        ask(subscriber, "inspectd/plant/cam/command/pause", b"", ResponseTopic="desk/me", CorrelationData=b"7")
    wait_until(lambda: len(subscriber.messages) == 2)
    assert len(agent.calls) == 1
    assert subscriber.messages[0].payload == subscriber.messages[1].payload


def test_correlation_data_of_another_request_is_no_repetition(requester: Requester) -> None:
    """Some clients use the same for every request: the payload belongs to the request."""
    agent, _, subscriber = requester
    for payload in (b'{"dry_run":true}', b'{"cancel":true}', b'{"dry_run":true}'):
        ask(
            subscriber, "inspectd/plant/cam/command/recalibrate", payload, ResponseTopic="desk/me", CorrelationData=b"7"
        )
    wait_until(lambda: len(subscriber.messages) == 3)
    assert [payload for _, _, payload in agent.calls] == [b'{"dry_run":true}', b'{"cancel":true}']


def test_repeated_request_is_executed_again_after_ten_minutes(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    later = [0.0]
    clock = lambda: time.monotonic() + later[0]  # noqa: E731
    with taking_requests(mosquitto(), tmp_path, clock=clock) as (agent, _, subscriber):
        for seconds in (0.0, 599.0, 601.0):
            later[0], count = seconds, len(subscriber.messages)
            ask(subscriber, "inspectd/plant/cam/command/pause", b"", ResponseTopic="desk/me", CorrelationData=b"7")
            wait_until(lambda: len(subscriber.messages) > count)  # noqa: B023
    assert len(agent.calls) == 2


@pytest.mark.parametrize(
    ("name", "payload", "words"),
    [
        ("shutdown", b"", "unknown command"),
        ("pause", b'{"when":"now"}', "when"),
        ("recalibrate", b'{"frames":"many"}', "frames"),
        ("pause", b"\xff\xfe", "JSON"),
        ("pause", b"[" * 5000, "recursion|JSON"),
        ("pause", b"x" * 10_000_000, "10000000 bytes"),
    ],
)
def test_bad_request_is_answered_with_an_error(requester: Requester, name: str, payload: bytes, words: str) -> None:
    _, _, subscriber = requester
    ask(subscriber, f"inspectd/plant/cam/command/{name}", payload)
    wait_until(lambda: subscriber.messages)
    ((_, answer),) = answers(subscriber)
    assert answer["ok"] is False
    assert any(word in answer["error"] for word in words.split("|"))
    assert len(answer["error"]) < 300
    assert "\n" not in answer["error"]


def test_retained_command_is_rejected(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """It would be executed again after every connection."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/+/response/#")
    subscriber.publish("inspectd/plant/cam/command/pause", b"{}", retain=True)
    agent = Agent()
    with delivering(broker.url, tmp_path) as (_, publisher):
        MqttRequests(publisher, TOPICS, agent.execute)
        wait_until(lambda: subscriber.messages)
    assert "retained" in json.loads(subscriber.messages[0].payload)["error"]
    assert agent.calls == []


def test_command_sent_with_the_retain_flag_is_rejected_at_once(requester: Requester) -> None:
    """Not only after the next connection, so that the sender notices the mistake now."""
    agent, _, subscriber = requester
    subscriber.publish("inspectd/plant/cam/command/pause", b"{}", retain=True)
    wait_until(lambda: subscriber.messages)
    assert "retained" in json.loads(subscriber.messages[0].payload)["error"]
    assert agent.calls == []


def test_command_on_a_connection_that_anyone_may_use_is_rejected(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/+/response/#")
    agent = Agent()
    with delivering(broker.url, tmp_path) as (_, publisher):
        MqttRequests(publisher, TOPICS, agent.execute, trusted=False)
        wait_until(lambda: publisher.connected)

        def answered() -> bool:
            subscriber.publish("inspectd/plant/cam/command/pause", b"{}")
            return bool(subscriber.messages)

        wait_until(answered)
    assert "TLS" in json.loads(subscriber.messages[0].payload)["error"]
    assert agent.calls == []


def test_command_that_hangs_does_not_delay_delivery(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
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
        assert publisher.wait_until_delivered(60)
        leave.set()
        wait_until(lambda: subscriber.on("/response/pause"))
    assert json.loads(subscriber.on("/response/pause")[0].payload)["ok"] is False


def test_response_beyond_the_packet_limit_is_replaced_by_an_error(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto(lines=["max_packet_size 4000"])
    subscriber = Subscriber(broker, "inspectd/plant/+/response/#")

    def execute(name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        now = datetime.now(timezone.utc)
        return CommandResponse(command=name, site="plant", camera=camera, at=now, ok=True, result={"long": "x" * 5000})

    with delivering(broker.url, tmp_path) as (_, publisher):
        MqttRequests(publisher, TOPICS, execute)

        def answered() -> bool:
            subscriber.publish("inspectd/plant/cam/command/snapshot", b"")
            return bool(subscriber.messages)

        wait_until(answered)
    answer = json.loads(subscriber.messages[0].payload)
    assert answer["ok"] is False
    assert answer["error"].endswith("the broker accepts packets up to 4000 bytes")


def test_long_responses_are_not_kept_without_limit(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """Beyond the limit only the latest response is kept: its request is executed once, an older one again."""
    with taking_requests(mosquitto(), tmp_path, max_kept_bytes=1) as (agent, _, subscriber):
        for data in (b"a", b"b", b"b", b"a"):
            ask(subscriber, "inspectd/plant/cam/command/pause", b"", ResponseTopic="desk/me", CorrelationData=data)
        wait_until(lambda: len(subscriber.messages) == 4)
        assert len(agent.calls) == 3


def test_request_that_waited_longer_than_its_expiry_is_rejected(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """It waited in the agent's queue for 1,000 s; the broker drops only what expires before it is sent."""
    with taking_requests(mosquitto(), tmp_path, clock=lambda: time.monotonic() + 1000.0) as (agent, _, subscriber):
        topic = "inspectd/plant/cam/command/pause"
        ask(subscriber, topic, b"", ResponseTopic="desk/me", CorrelationData=b"1", MessageExpiryInterval=60)
        wait_until(lambda: subscriber.messages)
        ((_, answer),) = answers(subscriber)
    assert answer["error"] == "the command has expired: it waited longer than 60 s"
    assert agent.calls == []


def test_default_response_topic_is_right_if_a_level_is_called_command(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "acme/#")
    tree = Topics("plant", "acme/{line}/{site}", levels={"line": "command"})
    with delivering(broker.url, tmp_path, topics=tree) as (_, publisher):
        MqttRequests(publisher, tree, Agent().execute)

        def answered() -> bool:
            subscriber.publish("acme/command/plant/cam/command/pause", b"{}")
            return bool(subscriber.on("/response/pause"))

        wait_until(answered)
    assert subscriber.on("/response/pause")[0].topic == "acme/command/plant/cam/response/pause"


def outcome(name: str, payload: bytes) -> Any:
    """The request, or the error text; any other exception fails the test."""
    try:
        return parse_request(find_command(name).request, payload)
    except InspectdError as error:
        return str(error)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    name=st.one_of(st.sampled_from(sorted(AGENT_COMMANDS)), st.text()),
    payload=st.one_of(st.binary(), st.text().map(str.encode)),
)
def test_any_bytes_are_a_request_or_a_one_line_error(name: str, payload: bytes) -> None:
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
def test_any_json_is_a_request_or_a_one_line_error(name: str, fields: dict[str, Any]) -> None:
    result = outcome(name, json.dumps(fields).encode())
    assert isinstance(result, AGENT_COMMANDS[name].request) or (result.isprintable() and len(result) < 400)


def test_oversized_request_is_not_parsed() -> None:
    with pytest.raises(InspectdError, match="at most"):
        parse_request(PauseRequest, b" " * (MAX_COMMAND_BYTES + 1))
