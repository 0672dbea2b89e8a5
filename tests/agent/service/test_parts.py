"""Every part has one result, over a real broker, across a stop and a kill of the agent."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.messages.result import ResultPayload
from engines.bundles.bundle import Bundle
from tests.support.agents import (
    Starter,
    agent_processes,
    await_state,
    configure,
    is_armed,
    socket_path,
    write_good_and_bad_parts,
)
from tests.support.broker import Mosquitto, Subscriber, wait_until

GOOD, BAD = 90, 4


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    write_good_and_bad_parts(folder, good=GOOD, bad=BAD)
    return folder


@pytest.fixture
def start(tmp_path: Path, inbox: Path, tiny_bundle: Bundle, broker: Mosquitto) -> Iterator[Starter]:
    config = configure(tmp_path, tiny_bundle, f'kind = "folder"\nfollow = true\npath = "{inbox}"', broker.url)
    with agent_processes(config) as start:
        yield start


def results(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in subscriber.on("/result")]


def test_every_image_of_a_folder_has_a_result(start: Starter, broker: Mosquitto, inbox: Path) -> None:
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    process = start()
    wait_until(lambda: len(results(subscriber)) == GOOD + BAD, seconds=120)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    found = results(subscriber)
    for document in found:
        ResultPayload.model_validate(document)
    assert [document["sequence"] for document in found] == list(range(1, GOOD + BAD + 1))
    assert [document["part"] for document in found] == sorted(file.name for file in inbox.iterdir())
    calibrating = [document for document in found if document["reason"] == "calibrating"]
    assert all(document["verdict"] == "not_judged" and document["score"] is None for document in calibrating)
    judged = found[len(calibrating) :]
    assert all(document["verdict"] in ("ok", "nok") for document in judged)
    bad = [document for document in judged if document["part"].startswith("z")]
    assert [document["verdict"] for document in bad] == ["nok"] * BAD
    alarms = [json.loads(message.payload) for message in subscriber.on("/alarm")]
    raised = {alarm["origin"]: alarm["id"] for alarm in alarms if alarm["event"] == "raised"}
    assert {document["part"]: document["alarm"] for document in bad}.items() <= raised.items()
    assert {alarm["id"] for alarm in alarms if alarm["event"] == "cleared"} == set(raised.values()), "the last one too"


def test_results_of_a_killed_agent_are_delivered_once_by_id(tmp_path: Path, start: Starter, broker: Mosquitto) -> None:
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    process = start()
    await_state(socket_path(tmp_path), is_armed)
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    start()
    wait_until(lambda: len({document["id"] for document in results(subscriber)}) == GOOD + BAD, seconds=120)
    first = {document["id"]: document for document in reversed(results(subscriber))}
    assert len({document["part"] for document in first.values()}) == GOOD + BAD, "one id for each part"
    sequences = {document["sequence"] for document in results(subscriber)}
    assert sequences == set(range(1, max(sequences) + 1)), "without gaps"
