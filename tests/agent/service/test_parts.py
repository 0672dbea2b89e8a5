"""Every part has one result, over a real broker, across a stop and a kill of the agent."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from agent.cli.terminal.text import status_lines
from agent.commands import ask
from agent.core.errors import InspectdError
from agent.messages.count import CountPayload
from agent.messages.result import ResultPayload
from engines.bundles.bundle import Bundle
from tests.support.agents import (
    GOOD_PARTS,
    Starter,
    agent_processes,
    await_state,
    configure,
    is_armed,
    running_service,
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
    # Alarms are drawn first, and may follow the results.
    wait_until(lambda: sum(b'"raised"' in message.payload for message in subscriber.on("/alarm")) >= BAD)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    wait_until(lambda: sum(b'"cleared"' in message.payload for message in subscriber.on("/alarm")) >= BAD)
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
    process.wait(60)
    start()
    wait_until(lambda: len({document["id"] for document in results(subscriber)}) == GOOD + BAD, seconds=120)
    first = {document["id"]: document for document in reversed(results(subscriber))}
    assert len({document["part"] for document in first.values()}) == GOOD + BAD, "one id for each part"
    sequences = {document["sequence"] for document in results(subscriber)}
    assert sequences == set(range(1, max(sequences) + 1)), "without gaps"
    last = {document["id"]: document["verdict"] for document in results(subscriber)}
    wait_until(lambda: counted(subscriber) == Counter(last.values()))


def test_numbers_of_the_shift_go_on_after_a_stop(tmp_path: Path, start: Starter, broker: Mosquitto) -> None:
    process = start()
    path = socket_path(tmp_path)
    await_state(path, lambda state: is_armed(state) and sum_of(state["shift_parts"]) == GOOD + BAD)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    late = Subscriber(broker, "inspectd/#", client_id="late")
    wait_until(lambda: bool(late.on("/count")))
    (message,) = late.on("/count")
    document = CountPayload.model_validate_json(message.payload)
    ok, nok = document.shift.ok, document.shift.nok
    assert nok >= BAD, "and a false alarm or two"
    assert document.shift.first_pass_yield == pytest.approx(ok / (ok + nok), abs=1e-6)
    assert sum(counted(late).values()) == GOOD + BAD, "the last values stay"
    start()
    state = await_state(path, lambda state: state["phase"] == "armed")
    assert state["parts"]["ok"] == 0, "since the agent started"
    assert sum_of(state["shift_parts"]) == GOOD + BAD
    assert any(line.strip().startswith("shift since ") for line in status_lines(ask(path, "status")))


def counted(subscriber: Subscriber) -> Counter[str]:
    shift = json.loads(subscriber.on("/count")[-1].payload)["shift"] if subscriber.on("/count") else {}
    return Counter({verdict: shift[verdict] for verdict in ("ok", "nok", "not_judged") if shift.get(verdict)})


def sum_of(numbers: dict[str, Any]) -> int:
    return int(numbers["ok"] + numbers["nok"] + numbers["not_judged"])


def test_triggered_parts_have_results_under_their_ids(tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto) -> None:
    calibration = 'frames = 50\nmax_frames = 50\nfalse_alarms = "1 per 20 parts"'
    config = configure(tmp_path, tiny_bundle, GOOD_PARTS, broker.url, calibration=calibration)
    config.write_text(config.read_text() + "[cameras.line1.parts]\ntrigger = true\n")
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    with running_service(config):
        path = socket_path(tmp_path)
        await_state(path, lambda state: state["frames"] > 0)
        for number in range(20):
            ask(path, "inspect", part=f"SN{number}")
        wait_until(lambda: len(results(subscriber)) == 20)
        for part in ("", "x" * 10_000, "SN\n1"):
            with pytest.raises(InspectdError, match="command inspect: part") as caught:
                ask(path, "inspect", part=part)
            assert "\n" not in str(caught.value)
            assert "Value error" not in str(caught.value), "a word of the library that checks it"
        state = await_state(path, lambda state: state["parts"]["not_judged"] == 20)
        assert state["ready"] is False, "it is still calibrating"
        ask(path, "pause")
        ask(path, "inspect", part="paused")
        wait_until(lambda: len(results(subscriber)) == 21)
        ask(path, "resume")
        together = [Thread(target=ask, args=(path, "inspect"), kwargs={"part": part}) for part in ("left", "right")]
        for thread in together:
            thread.start()
        wait_until(lambda: len(results(subscriber)) == 23)
    found = results(subscriber)
    assert [document["part"] for document in found[:21]] == [*(f"SN{number}" for number in range(20)), "paused"]
    assert {document["reason"] for document in found[:20]} == {"calibrating"}
    assert (found[20]["verdict"], found[20]["reason"]) == ("not_judged", "paused")
    assert {document["part"] for document in found[21:]} == {"left", "right"}, "two triggers at once"
    assert found[21]["frame"] < found[22]["frame"], "each has a frame of its own"
