"""The worked examples of docs/topics.md, run as printed; only the address of the broker is replaced."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from agent.core.records import AlarmEvent
from agent.messages.command import CommandResponse
from agent.messages.state import ScorePayload, StatePayload
from agent.mqtt import Outgoing
from agent.outputs.mqtt.delivery.subscriptions import matches
from agent.outputs.mqtt.requests import MqttRequests
from agent.settings.load import load_settings
from agent.settings.overrides import tomllib
from agent.tools.message_docs import DIRECTORY
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import TOPICS, accept, delivering, document

TEXT = (DIRECTORY / "topics.md").read_text("utf-8")


def example(title: str, language: str) -> str:
    """The code block below a title."""
    match = re.search(rf"\*\*{re.escape(title)}.*?```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert match, title
    return match[1]


def at(broker: Mosquitto, command: str) -> str:
    """A shell command with the address of the test's broker."""
    assert "-h broker" in command
    return command.replace("-h broker", f"-h 127.0.0.1 -p {broker.port}")


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Runs a program or a pipe of programs; ends it with all of its child processes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=150)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def connected(broker: Mosquitto, client_id: str) -> bool:
    return f"SUBSCRIBE from {client_id}" in log(broker) or f"Received SUBSCRIBE from {client_id}" in log(broker)


def log(broker: Mosquitto) -> str:
    return (broker.directory / "mosquitto.log").read_text()


def test_shell_example_prints_a_line_for_each_alarm(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    need("mosquitto_sub", "jq")
    broker = mosquitto(lines=["log_type all"])
    with running(["bash", "-c", at(broker, example("A shell", "sh"))]) as process:
        wait_until(lambda: connected(broker, "quality-desk"))
        with delivering(broker.url, tmp_path) as (outbox, _):
            accept(outbox, "a1")
            accept(outbox, "a1", event=AlarmEvent.CLEARED)
            assert line_of(process) == "2026-03-01T12:00:00.250Z cam raised 3.5"
            assert line_of(process) == "2026-03-01T12:00:00.250Z cam cleared 3.5"


def test_paho_example_prints_each_alarm_once(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    broker = mosquitto(lines=["log_type all"])
    code = example("Python, paho-mqtt", "python").replace('"broker", 1883', f'"127.0.0.1", {broker.port}')
    assert str(broker.port) in code
    with running([sys.executable, "-c", code]) as process:
        wait_until(lambda: connected(broker, "line-stop"))
        repeated = Subscriber(broker, "desk/none")
        with delivering(broker.url, tmp_path) as (outbox, publisher):
            accept(outbox, "a1")
            assert publisher.wait_until_delivered(60)
            repeated.publish(TOPICS.alarm("cam"), document("a1", 1).payload)
            accept(outbox, "a1", event=AlarmEvent.CLEARED)
            assert line_of(process) == "cam raised 3.5 []"
            assert line_of(process) == "cam cleared 3.5 []", "a repeated alarm is not printed"


def test_command_examples_get_a_response_and_an_image(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    need("mosquitto_rr", "mosquitto_sub")
    broker = mosquitto(lines=["log_type all"])

    with delivering(broker.url, tmp_path) as (_, publisher):

        def execute(name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
            if name == "snapshot":
                publisher.notify(Outgoing(TOPICS.snapshot("line1", "overlay"), b"picture", retain=True))
            now = datetime.now(timezone.utc)
            return CommandResponse(command=name, site="plant", camera=camera, at=now, ok=True)

        MqttRequests(publisher, TOPICS, execute)
        wait_until(lambda: connected(broker, "inspectd-plant"))
        status = run(at(broker, example("A command by hand", "sh")), tmp_path)
        assert json.loads(status)["command"] == "status"
        answer = run(at(broker, example("A snapshot by hand", "sh")), tmp_path)
        assert json.loads(answer)["camera"] == "line1"
    assert (tmp_path / "overlay.jpg").read_bytes() == b"picture"


def run(command: str, directory: Path) -> str:
    done = subprocess.run(
        ["bash", "-ec", command], capture_output=True, text=True, timeout=30, check=False, cwd=directory
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_node_red_example_is_a_flow_that_lets_each_alarm_through_once() -> None:
    flow = {node["id"]: node for node in json.loads(example("Node-RED", "json"))}
    wired = {target for node in flow.values() for wires in node.get("wires", []) for target in wires}
    assert wired | {flow["in"]["broker"]} <= flow.keys()
    assert matches(flow["in"]["topic"], TOPICS.alarm("line1"))
    need("node")
    messages = [
        json.loads(document("a1", 1, event=event).payload) for event in (*[AlarmEvent.RAISED] * 2, AlarmEvent.CLEARED)
    ]
    harness = """
const kept = {}, context = {get: (name) => kept[name], set: (name, value) => { kept[name] = value; }};
const node = new Function('msg', 'context', FUNCTION);
const through = MESSAGES.map((payload) => node({payload}, context)).filter((msg) => msg !== null);
console.log(JSON.stringify(through.map((msg) => msg.payload.event)));
"""
    script = harness.replace("FUNCTION", json.dumps(flow["once"]["func"])).replace("MESSAGES", json.dumps(messages))
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["raised", "cleared"]


def test_telegraf_example_reads_fields_that_there_are() -> None:
    (consumer,) = tomllib.loads(example("Telegraf", "toml"))["inputs"]["mqtt_consumer"]
    for topic in (TOPICS.score("line1"), TOPICS.state("line1")):
        assert any(matches(topic_filter, topic) for topic_filter in consumer["topics"])
        (parsing,) = consumer["topic_parsing"]
        assert matches(parsing["topic"], topic)
        assert len(parsing["tags"].split("/")) == len(parsing["measurement"].split("/")) == len(topic.split("/"))
    kinds = {"float": ("number",), "string": ("string",), "bool": ("boolean",)}
    properties = StatePayload.model_json_schema()["properties"] | ScorePayload.model_json_schema()["properties"]
    for field in consumer["json_v2"][0]["field"]:
        assert field["optional"], "neither document has all of them"
        if field["path"] != "phase":
            assert _types(properties[field["path"]]) & set(kinds[field["type"]])


def _types(schema: dict[str, Any]) -> set[str]:
    return {str(option.get("type")) for option in schema.get("anyOf", [schema])}


def test_unified_namespace_example_is_what_the_text_says(tmp_path: Path) -> None:
    match = re.search(r"### A Unified Namespace.*?```toml\n(.*?)```(.*?)### ", TEXT, re.DOTALL)
    assert match
    config = tmp_path / "inspectd.toml"
    camera = '[cameras.line1]\nbundle = "b"\nsource = { kind = "simulator" }\n'
    config.write_text(f'site = "plant"\n{match[1]}\n{camera}')
    topics = load_settings(config).mqtt.topics("plant")
    text = match[2].replace("\n", " ")
    assert f"`{topics.status()}`" in text
    assert f"`{topics.alarm('line1')}`" in text
