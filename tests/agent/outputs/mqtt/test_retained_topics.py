"""What the broker keeps of cameras that are no longer in the settings: removed at the next start."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from agent.core.problems import Problems
from agent.core.records import Phase
from agent.messages.state import StatePayload
from agent.outputs.mqtt.output import MqttOutput
from agent.outputs.mqtt.retained_topics import RetainedTopics
from agent.outputs.mqtt.settings import MqttSettings
from agent.outputs.outbox import Outbox
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import AT

StartBroker = Callable[..., Mosquitto]


def run(
    directory: Path, broker: Mosquitto, cameras: Collection[str], *, site: str = "plant", **settings: object
) -> None:
    """One run of an agent: publishes the state of its cameras and stops."""
    outbox = Outbox(directory / "outbox.sqlite")
    section = MqttSettings.model_validate({"url": broker.url, **settings})
    output = MqttOutput("mqtt", section, site=site, outbox=outbox, problems=Problems())
    output.announce(dict.fromkeys(cameras, "parts"))
    output.start()
    for camera in cameras:
        output.publish_state(StatePayload(site=site, camera=camera, at=AT, phase=Phase.ARMED))
    wait_until(lambda: output.report().connected)
    assert output.stop(20.0)
    outbox.close()


def kept(broker: Mosquitto) -> set[str]:
    """Topics on which the broker keeps a document."""
    subscriber, end = Subscriber(broker, "#"), "inspectd/end"
    subscriber.publish(end, b"{}")
    wait_until(lambda: subscriber.on(end))
    topics = {message.topic for message in subscriber.messages if message.retained}
    subscriber.close()
    return topics


def test_documents_of_removed_cameras_are_removed(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    run(tmp_path, broker, ["left", "right"], home_assistant=True)
    assert kept(broker) == {
        "inspectd/plant/status",
        "inspectd/plant/left/state",
        "inspectd/plant/right/state",
        "homeassistant/device/inspectd_plant_left/config",
        "homeassistant/device/inspectd_plant_right/config",
    }
    run(tmp_path, broker, ["left"], home_assistant=True)
    assert kept(broker) == {
        "inspectd/plant/status",
        "inspectd/plant/left/state",
        "homeassistant/device/inspectd_plant_left/config",
    }
    run(tmp_path, broker, ["left"])
    assert kept(broker) == {"inspectd/plant/status", "inspectd/plant/left/state"}


def test_removed_topics_are_forgotten(mosquitto: StartBroker, tmp_path: Path) -> None:
    """Another agent may use them later."""
    broker = mosquitto()
    for cameras in (["left", "right"], ["left"]):
        run(tmp_path, broker, cameras)
    other = Subscriber(broker, "nothing")
    other.publish("inspectd/plant/right/state", b"of another", retain=True)
    run(tmp_path, broker, ["left"])
    assert "inspectd/plant/right/state" in kept(broker)


def test_documents_below_another_site_or_at_another_broker_stay(mosquitto: StartBroker, tmp_path: Path) -> None:
    """They may be those of another device by now, with which this one changed places."""
    broker = mosquitto()
    run(tmp_path, broker, ["left"])
    run(tmp_path, broker, ["left"], site="other")
    assert "inspectd/plant/left/state" in kept(broker)


def test_broker_without_retain_is_asked_to_remove_nothing(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto(lines=["retain_available false"])
    subscriber = Subscriber(broker, "inspectd/plant/+/state")
    for cameras in (["left", "right"], ["left"]):
        run(tmp_path, broker, cameras)
    assert all(message.payload for message in subscriber.messages)


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", b"null", b'{"place":"here"}', b'{"place":"here","topics":7}'])
def test_list_that_cannot_be_read_is_empty(tmp_path: Path, stored: bytes) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outbox.save_state({"retained/mqtt": stored})
    topics = RetainedTopics(outbox, "mqtt", "here")
    assert topics.replace(["a", "b"]) == []
    assert json.loads(outbox.state()["retained/mqtt"]) == {"place": "here", "topics": ["a", "b"]}
    assert RetainedTopics(outbox, "mqtt", "here").replace(["b"]) == ["a"]
    outbox.close()
