"""Which handler gets a message, and where responses may go."""

from __future__ import annotations

import logging

import pytest

from agent.mqtt import CommandMessage
from agent.outputs.mqtt.delivery.subscriptions import Subscriptions, may_respond_on
from agent.outputs.mqtt.topics import Topics


def message(topic: str) -> CommandMessage:
    return CommandMessage(topic, b"", False, None, None, None, 0.0)


def test_first_handler_whose_filter_matches_gets_the_message(caplog: pytest.LogCaptureFixture) -> None:
    subscriptions = Subscriptions()
    got: list[str] = []

    def fail(_: CommandMessage) -> None:
        got.append("broken")
        raise RuntimeError("broken handler")

    subscriptions.add("a/#", fail)
    subscriptions.add("a/b", lambda _: got.append("second"))
    subscriptions.add("c/+", lambda _: got.append("third"))
    with caplog.at_level(logging.ERROR):
        for topic in ("a/b", "c/d", "e"):
            subscriptions.handle(message(topic))
    assert got == ["broken", "third"]
    assert "broken handler" in caplog.text


def test_new_filters_are_returned_once() -> None:
    subscriptions = Subscriptions()
    subscriptions.add("a", lambda _: None)
    assert subscriptions.new_filters() == ["a"]
    assert subscriptions.new_filters() == []
    subscriptions.add("b", lambda _: None)
    assert subscriptions.all_filters() == ["a", "b"], "for a new connection"
    assert subscriptions.new_filters() == []


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
def test_response_topic_must_not_be_a_topic_of_the_agent(topic: str, may: bool) -> None:
    assert may_respond_on(topic, Topics("plant").owned_filters()) is may


def test_removed_filters_are_returned_once() -> None:
    subscriptions = Subscriptions()
    subscriptions.add("a", lambda _: None)
    subscriptions.remove("a")
    assert (subscriptions.new_filters(), subscriptions.dropped_filters()) == ([], ["a"])
    assert subscriptions.dropped_filters() == []
    subscriptions.remove("a")
    subscriptions.add("a", lambda _: None)
    assert (subscriptions.dropped_filters(), subscriptions.new_filters()) == ([], ["a"])


@pytest.mark.parametrize(
    ("topic", "may"),
    [
        ("inspectd/other/status", False),
        ("inspectd/other/command/recalibrate", False),
        ("inspectd/other/cam/command/pause", False),
        ("inspectd/other/cam/alarm", False),
        ("inspectd/other/cam/alarm/a1/heatmap", False),
        ("inspectd/response/command/pause", False),  # an agent whose site is called so
        ("inspectd/other/cam/response/pause", True),
        ("acme/other/l4/inspectd/status", False),
        ("acme/other/l5/inspectd/cam/command/x", False),
        ("acme/other/l5/inspectd/cam/alarm", False),
        ("acme/other/l5/desk", True),
        ("desk/me", True),
    ],
)
def test_response_topic_must_not_be_a_topic_of_another_agent(topic: str, may: bool) -> None:
    """Neither in the tree of this agent nor in the default one."""
    tree = Topics("plant", "acme/{site}/{line}/inspectd", levels={"line": "l4"})
    agents = (*tree.agents_filters(), *Topics("plant").agents_filters())
    assert may_respond_on(topic, tree.owned_filters(), agents) is may


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
def test_response_topic_must_not_be_a_topic_of_the_agent_in_a_custom_tree(topic: str, may: bool) -> None:
    """In which the cameras need not be below the agent."""
    tree = Topics("plant", "acme/{site}/agent", "acme/{site}/cameras/{camera}/inspectd", home_assistant="homeassistant")
    assert may_respond_on(topic, tree.owned_filters()) is may
