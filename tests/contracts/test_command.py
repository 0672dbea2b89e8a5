"""Every command works over every transport; and what it takes to add one.

Runs over every row of `AGENT_COMMANDS` and over a toy that is added from a temporary file, as a developer would add a
command. The agent is a whole one, the broker a real Mosquitto.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.commands import AGENT_COMMANDS, Command, ask
from agent.core.errors import Permanent
from agent.messages import CommandRequest, CommandResponse, command
from agent.service import Service
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import GOOD_PARTS, await_online, await_state, is_armed, running_service
from tests.support.broker import Mosquitto, Subscriber, wait_until

# All that a developer writes for a new command, apart from its row in the table.
TOY = '''\
from pydantic import Field

from agent.messages import CommandRequest


class WeighRequest(CommandRequest):
    """Weigh the part in front of a camera."""

    command = "scale/weigh"
    grams: float = Field(default=1.0, gt=0)


def weigh(call):
    line = call.line()
    frames = line.call(lambda: line.counters.frames)
    return {"camera": line.name, "grams": call.request.grams, "frames": frames, "by": call.by}
'''


@dataclass(frozen=True)
class Answer:
    """The end of a response: one of the two."""

    result: dict[str, Any] | None = None
    error: str | None = None


Send = Callable[[str, "dict[str, Any]"], Answer]
"""Sends a command with the fields of its request to `line1`."""


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Command]:
    """A new command: one file, one row."""
    (tmp_path / "toy_command.py").write_text(TOY)
    sys.path.insert(0, str(tmp_path))
    module = importlib.import_module("toy_command")
    row = AGENT_COMMANDS["scale/weigh"] = Command(module.WeighRequest, module.weigh)
    yield row
    del AGENT_COMMANDS["scale/weigh"], sys.modules["toy_command"]
    sys.path.remove(str(tmp_path))


@dataclass(frozen=True)
class Running:
    """An agent that runs, and its broker."""

    service: Service
    broker: Mosquitto


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Running]:
    """An agent that is calibrated."""
    directory = tmp_path_factory.mktemp("agent")
    broker = Mosquitto(directory / "broker").start()
    config = directory / "inspectd.toml"
    allow = "allow_insecure_commands = true"
    config.write_text(settings_text(tiny_bundle.path, GOOD_PARTS, url=broker.url, mqtt=allow))
    try:
        with running_service(config) as service:
            await_state(service.settings.socket_path, is_armed)
            await_online(broker)
            yield Running(service, broker)
    finally:
        broker.end()


@pytest.fixture(params=["control socket", "mqtt"])
def send(request: pytest.FixtureRequest, running: Running) -> Iterator[Send]:
    """Sends commands over one of the transports."""
    if request.param == "mqtt":
        with _Mqtt(running.broker) as over_mqtt:
            yield over_mqtt
    else:
        yield lambda name, fields: over_socket(running.service.settings.socket_path, name, fields)


def over_socket(socket: Path, name: str, fields: dict[str, Any]) -> Answer:
    try:
        return Answer(ask(socket, name, "line1", **fields))
    except Permanent as error:
        return Answer(error=str(error))


class _Mqtt:
    """The transport MQTT, with a client that is none of ours."""

    def __init__(self, broker: Mosquitto) -> None:
        self._client = Subscriber(broker, "desk/response")

    def __enter__(self) -> Send:
        return self._send

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _send(self, name: str, fields: dict[str, Any]) -> Answer:
        # The same correlation data again would be the same request again, and get the response from before.
        properties = {"CorrelationData": uuid.uuid4().bytes, "ResponseTopic": "desk/response"}
        known, topic = len(self._client.messages), f"inspectd/plant/line1/command/{name}"
        self._client.publish(topic, json.dumps(fields).encode(), **properties)
        wait_until(lambda: len(self._client.messages) > known, what=f"a response to {name}")
        response = CommandResponse.model_validate_json(self._client.messages[-1].payload)
        assert (response.command, response.camera, response.site) == (name, "line1", "plant")
        return Answer(response.result if response.ok else None, response.error)


@pytest.mark.parametrize("name", [*AGENT_COMMANDS, "scale/weigh"])
def test_every_command_is_carried_out_or_rejected_with_one_line(send: Send, toy: Command, name: str) -> None:
    """With its defaults. Which of the two depends on what the agent did before; nothing else may happen."""
    answer = send(name, {})
    if answer.error is not None:
        assert answer.error.isprintable()
        assert "unknown command" not in answer.error
    else:
        assert answer.result
        model = AGENT_COMMANDS[name].result
        if model is not None:
            assert model.model_validate(answer.result).model_dump(mode="json", by_alias=True) == answer.result


@pytest.mark.parametrize("name", [*AGENT_COMMANDS, "scale/weigh"])
def test_every_command_rejects_an_unknown_field(send: Send, toy: Command, name: str) -> None:
    error = send(name, {"colour": "red"}).error
    assert error is not None
    assert re.fullmatch(rf'command {name}: colour: .*got "red"', error)


def test_a_new_command_works_over_every_transport(send: Send, toy: Command) -> None:
    """It reads its request, and runs on the camera's inspection thread."""
    result = send("scale/weigh", {"grams": 2.5}).result
    assert result is not None
    assert (result["camera"], result["grams"]) == ("line1", 2.5)
    assert result["frames"] > 0
    assert result["by"]
    error = send("scale/weigh", {"grams": -1}).error
    assert error is not None
    assert re.fullmatch(r"command scale/weigh: grams: .*got -1", error)


def test_a_command_without_a_row_is_unknown(send: Send) -> None:
    error = send("scale/tare", {}).error
    assert error is not None
    assert error.startswith("unknown command 'scale/tare'; wanted one of alarms/export, ")


def test_every_request_model_has_a_row() -> None:
    models = {
        model for model in vars(command).values() if isinstance(model, type) and issubclass(model, CommandRequest)
    }
    assert models - {CommandRequest} <= {row.request for row in AGENT_COMMANDS.values()}


def test_every_row_has_the_name_of_its_request() -> None:
    assert {name: row.name for name, row in AGENT_COMMANDS.items()} == {name: name for name in AGENT_COMMANDS}
