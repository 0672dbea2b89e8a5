"""Which agent and which camera a topic names."""

from __future__ import annotations

import pytest

from agent.core.errors import Permanent
from agent.fleet.broker.topic_tree import MAX_TOPIC_LENGTH, Place, TopicTree
from agent.outputs.mqtt import Topics

UNS = ("{enterprise}/{site}/{line}/inspectd", "{enterprise}/{site}/{line}/{camera}/inspectd")


@pytest.mark.parametrize(
    ("topic", "place"),
    [
        ("inspectd/plant/status", Place("inspectd/plant", "plant", None, "status")),
        ("inspectd/plant/line1/state", Place("inspectd/plant", "plant", "line1", "state")),
        ("inspectd/plant/line1/alarm", Place("inspectd/plant", "plant", "line1", "alarm")),
        ("inspectd/plant/line1/alarm/0195/verdict", Place("inspectd/plant", "plant", "line1", "verdict")),
        ("inspectd/plant/parts/p1/count", Place("inspectd/plant", "plant", "parts/p1", "count")),
        ("inspectd/plant/parts/p1/state", None),
        ("inspectd/plant/line1/alarm/0195/frame", None),
        ("inspectd/plant/line1/score", None),
        ("other/plant/status", None),
        ("inspectd/pl\u202eant/status", None),
        (f"inspectd/{'x' * MAX_TOPIC_LENGTH}/status", None),
    ],
)
def test_topic_names_a_place(topic: str, place: Place | None) -> None:
    assert TopicTree().read(topic) == place


def test_topics_of_a_plant_are_read_as_agents_write_them() -> None:
    topics = Topics("berlin", UNS[0], UNS[1], {"enterprise": "acme", "line": "l4"})
    tree = TopicTree(*UNS)
    place = tree.read(topics.state("cam"))
    assert place == Place(topics.base, "berlin", "cam", "state")
    assert tree.read(topics.status()) == Place(topics.base, "berlin", None, "status")
    assert tree.read(topics.count("parts/p1")) == Place(topics.base, "berlin", "parts/p1", "count")


def test_filters_match_what_is_read() -> None:
    assert dict(TopicTree(*UNS).filters())["+/+/+/inspectd/status"] == 1
    assert dict(TopicTree().filters())["inspectd/+/+/state"] == 0
    assert dict(TopicTree().filters())["inspectd/+/parts/+/count"] == 0


@pytest.mark.parametrize(
    ("agent", "camera"),
    [
        ("inspectd/{site", None),
        ("inspectd/x{site}", None),
        ("inspectd/#", None),
        ("{site}/agent", "{camera}/state"),
        ("{site}/agent", "{site}/{camera}/{camera}"),
        ("{0}/agent", None),
    ],
)
def test_tree_that_cannot_be_told_apart_is_rejected(agent: str, camera: str | None) -> None:
    with pytest.raises(Permanent, match=r"wanted|expected"):
        TopicTree(agent, camera)


def test_document_that_names_another_site_is_rejected() -> None:
    place = Place("inspectd/plant", "plant", "line1", "state")
    place.check_names("plant", "line1")
    with pytest.raises(Permanent, match="site: got 'other' in the document, wanted 'plant'"):
        place.check_names("other", "line1")
    with pytest.raises(Permanent, match="camera: got 'line2'"):
        place.check_names("plant", "line2")
