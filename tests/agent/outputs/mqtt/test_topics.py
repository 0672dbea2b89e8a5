"""The topic tree."""

from __future__ import annotations

import pytest

from agent.core.errors import Permanent
from agent.outputs.mqtt.delivery.subscriptions import matches
from agent.outputs.mqtt.topics import CommandTopic, Topics

PLAIN = Topics("plant")
UNIFIED = Topics("plant", "{enterprise}/{site}/{line}/inspectd", levels={"enterprise": "acme", "line": "l7"})
INSIDE = Topics("plant", "acme/{site}/agent", "acme/{site}/cameras/{camera}/inspectd")


def test_default_tree_is_as_documented() -> None:
    assert PLAIN.status() == "inspectd/plant/status"
    assert PLAIN.state("cam") == "inspectd/plant/cam/state"
    assert PLAIN.alarm("cam") == "inspectd/plant/cam/alarm"
    assert PLAIN.image("cam", "a1", "heatmap") == "inspectd/plant/cam/alarm/a1/heatmap"
    assert PLAIN.score("cam") == "inspectd/plant/cam/score"
    assert PLAIN.command("cam", "pause") == "inspectd/plant/cam/command/pause"
    assert PLAIN.response(None, "status") == "inspectd/plant/response/status"
    assert PLAIN.every_camera("alarm") == "inspectd/plant/+/alarm"


def test_unified_namespace_follows_its_templates() -> None:
    assert UNIFIED.alarm("cam") == "acme/plant/l7/inspectd/cam/alarm"
    assert INSIDE.alarm("cam") == "acme/plant/cameras/cam/inspectd/alarm"
    assert INSIDE.status() == "acme/plant/agent/status"


@pytest.mark.parametrize("topics", [PLAIN, UNIFIED, INSIDE])
@pytest.mark.parametrize("camera", [None, "cam", "camera 1", "größe.x[1]*"])
@pytest.mark.parametrize("name", ["pause", "calibration/rollback"])
def test_command_topic_is_read_back_and_subscribed(topics: Topics, camera: str | None, name: str) -> None:
    topic = topics.command(camera, name)
    assert topics.read_command(topic) == CommandTopic(camera, name)
    assert any(matches(topic_filter, topic) for topic_filter in topics.command_filters())


@pytest.mark.parametrize(
    "topic", ["inspectd/plant/cam/alarm", "inspectd/other/cam/command/x", "inspectd/plant/command/"]
)
def test_other_topics_are_not_commands(topic: str) -> None:
    assert PLAIN.read_command(topic) is None


@pytest.mark.parametrize("topic", ["inspectd/plant/command/{}", "inspectd/plant/{}/command/x"])
def test_names_in_command_topics_are_bounded(topic: str) -> None:
    assert PLAIN.read_command(topic.format("é" * 100)) is not None
    assert PLAIN.read_command(topic.format("é" * 101)) is None


@pytest.mark.parametrize("name", ["", "a+b", "#", "a/b", "a\0", "a\nb", "$share", "x" * 300, "command"])
def test_invalid_camera_name_is_one_line(name: str) -> None:
    with pytest.raises(Permanent) as caught:
        PLAIN.state(name)
    assert str(caught.value).isprintable()
    assert "wanted" in str(caught.value)


@pytest.mark.parametrize("site", ["", "a/b", "+"])
def test_invalid_site_is_rejected_at_once(site: str) -> None:
    with pytest.raises(Permanent, match="site"):
        Topics(site)


@pytest.mark.parametrize(
    ("agent", "camera"),
    [
        ("inspectd/{plant}", None),
        ("inspectd/{site", None),
        ("inspectd//{site}", None),
        ("inspectd/{site}/#", None),
        ("a/{site}", "a/{site}"),
        ("a/{site}", "a/{camera}/{camera}"),
        ("a/{site}/camera", "a/{site}/{camera}"),
        ("a/{site.__class__}", None),
        ("a/{0}", None),
    ],
)
def test_invalid_template_is_one_line(agent: str, camera: str | None) -> None:
    with pytest.raises(Permanent) as caught:
        Topics("plant", agent, camera)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        ({"area": "a", "zone": "z"}, "topic level zone: no template asks for it"),
        ({"area": "a", "site": "other"}, "topic level site: got a value for it"),
        ({"area": "a/b"}, "topic level area: got 'a/b', wanted a name without '/'"),
        ({}, "asks for 'area', not among the levels"),
    ],
)
def test_levels_are_exactly_those_that_the_templates_ask_for(levels: dict[str, str], wanted: str) -> None:
    with pytest.raises(Permanent) as caught:
        Topics("plant", "{area}/{site}", levels=levels)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)
