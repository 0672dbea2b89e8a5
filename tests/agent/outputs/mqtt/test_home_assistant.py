"""The discovery document, read as Home Assistant reads it: retained, with its topics and templates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core.records import Phase
from agent.messages import CountPayload
from agent.messages.state import ScorePayload, StatePayload
from agent.outputs.mqtt.home_assistant import discovery, discovery_of_group, object_id
from agent.outputs.mqtt.topics import Topics
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import AT, delivering

TOPICS = Topics("plant", home_assistant="homeassistant")

# Options of the two platforms, from home-assistant.io/integrations/sensor.mqtt and binary_sensor.mqtt.
SHARED = {"platform", "unique_id", "name", "device_class", "entity_category", "state_topic", "value_template"}
SHARED |= {"expire_after"}
OPTIONS = {"sensor": SHARED | {"state_class", "options", "unit_of_measurement"}, "binary_sensor": SHARED}


def rendered(template: str, payload: bytes) -> str:
    """A value template, rendered as Home Assistant does."""
    jinja2 = pytest.importorskip("jinja2")
    return str(jinja2.Environment().from_string(template).render(value_json=json.loads(payload)))


def entity_states(document: dict[str, Any], messages: dict[str, bytes]) -> dict[str, str]:
    """The state of each entity after these messages, which are by topic."""
    return {
        name: rendered(component["value_template"], messages[component["state_topic"]])
        for name, component in document["components"].items()
    }


def state(**more: object) -> bytes:
    fields = {"site": "plant", "camera": "cam", "at": AT, "phase": Phase.ARMED, **more}
    return StatePayload.model_validate(fields).to_bytes()


SCORE = ScorePayload(camera="cam", captured_at=AT, frame=1, score=1.25, statistic=1.0, threshold=2.0).to_bytes()


def test_home_assistant_finds_a_camera_and_reads_its_entities(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    with delivering(broker.url, tmp_path, topics=TOPICS) as (_, publisher):
        publisher.publish_document(*discovery(TOPICS, "cam", version="1.0", model="parts"))
        publisher.publish_state("cam", StatePayload.model_validate_json(state(threshold=2.0, alarm="a1")))
        wait_until(lambda: publisher.connected)
        home = Subscriber(broker, "homeassistant/#")
        wait_until(lambda: home.on("/config"))
        (found,) = home.on("/config")
        assert found.topic == "homeassistant/device/inspectd_plant_cam/config"
        document = json.loads(found.payload)
        topics = {component["state_topic"] for component in document["components"].values()}
        reader = Subscriber(broker, *topics, document["availability"][0]["topic"])
        wait_until(lambda: reader.on("/state") and reader.on("/status"))
        publisher.publish_telemetry(TOPICS.score("cam"), SCORE)
        wait_until(lambda: reader.on("/score"))
    wait_until(lambda: b"stopped" in reader.on("/status")[-1].payload)
    later = Subscriber(broker, "homeassistant/#")
    wait_until(lambda: later.messages)
    assert later.messages[0].retained, "so that Home Assistant finds the camera after its own restart too"
    assert entity_states(document, {message.topic: message.payload for message in reader.messages}) == {
        "alarm": "ON",
        "phase": "armed",
        "score": "1.25",
        "threshold": "2.0",
        "drift": "OFF",
    }
    assert {component["expire_after"] for component in document["components"].values()} == {60}
    availability = document["availability"][0]["value_template"]
    assert [rendered(availability, message.payload) for message in reader.on("/status")][-1] == "offline"
    assert "online" in {rendered(availability, message.payload) for message in reader.on("/status")}


@pytest.mark.parametrize(
    ("more", "alarm"),
    [
        ({}, "OFF"),
        ({"alarm": "a1"}, "ON"),
        ({"phase": Phase.CALIBRATING}, "None"),
        ({"phase": Phase.CAMERA_LOST}, "None"),
    ],
)
def test_alarm_is_unknown_unless_the_camera_is_armed(more: dict[str, object], alarm: str) -> None:
    document = json.loads(discovery(TOPICS, "cam", version="1.0", model="parts")[1])
    messages = {TOPICS.state("cam"): state(**more), TOPICS.score("cam"): SCORE}
    assert entity_states(document, messages)["alarm"] == alarm


def test_group_of_cameras_has_verdict_numbers_and_yield() -> None:
    topic, text = discovery_of_group(TOPICS, "p1", version="1.0")
    assert topic.startswith("homeassistant/device/inspectd_plant_parts_p1_")
    shift = {"ok": 97, "nok": 3, "not_judged": 1, "first_pass_yield": 0.97, "start": AT, "end": AT}
    count = CountPayload.model_validate({"site": "plant", "camera": "parts/p1", "at": AT, "shift": shift})
    result = json.dumps({"verdict": "nok", "part": "SN1"}).encode()
    messages = {TOPICS.count("parts/p1"): count.to_bytes(), TOPICS.joined_result("p1"): result}
    wanted = {"bad": "ON", "verdict": "nok", "part": "SN1", "ok": "97", "nok": "3", "not_judged": "1", "yield": "97.0"}
    assert entity_states(json.loads(text), messages) == wanted


@pytest.mark.parametrize(
    "made", [discovery(TOPICS, "cam", version="1.0", model="parts"), discovery_of_group(TOPICS, "p1", version="1.0")]
)
def test_document_has_what_device_discovery_requires(made: tuple[str, bytes]) -> None:
    document = json.loads(made[1])
    assert document["device"]["identifiers"]
    assert document["origin"]["name"] == "inspectd"
    identities = [component["unique_id"] for component in document["components"].values()]
    assert len(set(identities)) == len(identities)
    for component in document["components"].values():
        assert component.keys() <= OPTIONS[component["platform"]]


def test_every_phase_is_an_option() -> None:
    """Home Assistant rejects a state that is not one."""
    document = json.loads(discovery(TOPICS, "cam", version="1.0", model="parts")[1])
    assert set(document["components"]["phase"]["options"]) == {phase.value for phase in Phase}


@pytest.mark.parametrize("name", ["plant_line.1", "größe", "a b/c", "plain-1_x"])
def test_object_id_has_only_characters_that_home_assistant_allows(name: str) -> None:
    assert re.fullmatch("[a-zA-Z0-9_-]+", object_id(name))
    assert object_id(name) != object_id(f"{name}.")
