"""Pause and resume a camera of a running agent."""

from __future__ import annotations

import json
from pathlib import Path

from agent.commands import ask
from agent.service import Service
from engines.bundles.bundle import Bundle
from tests.support.agents import Starter, configure, socket_path, write_good_and_bad_parts
from tests.support.broker import Mosquitto, Subscriber, wait_until


def test_pause_clears_the_active_alarm(tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto) -> None:
    """The last part is bad and no other follows: without the pause its alarm would stay active."""
    write_good_and_bad_parts(tmp_path / "parts", good=80, bad=1)
    configure(tmp_path, tiny_bundle, 'kind = "folder"\npath = "parts"\nfollow = true', broker.url)
    subscriber = Subscriber(broker, "inspectd/plant/line1/alarm")
    start()
    last = "z000.png"
    wait_until(
        lambda: any(message.payload for message in subscriber.messages) and seen(tmp_path) == last,
        seconds=60,
        what="the last part",
    )
    ask(socket_path(tmp_path), "pause")
    wait_until(lambda: b'"cleared"' in subscriber.messages[-1].payload)
    raised, cleared = [json.loads(message.payload) for message in subscriber.messages][-2:]
    assert (raised["event"], cleared["event"], cleared["id"]) == ("raised", "cleared", raised["id"])
    assert cleared["reason"] == "paused"
    assert cleared["sequence"] == raised["sequence"] + 1


def seen(tmp_path: Path) -> str | None:
    """Name of the file that was inspected last."""
    origin: str | None = ask(socket_path(tmp_path), "snapshot", inline=True)["origin"]
    return origin


def test_paused_camera_judges_nothing_until_it_is_resumed(service: Service) -> None:
    socket, line = service.settings.socket_path, service.lines["line1"]
    assert ask(socket, "pause") == {"phase": "paused"}
    assert ask(socket, "status")["cameras"]["line1"]["phase"] == "paused"
    frames = line.counters.frames
    wait_until(lambda: line.counters.frames > frames, what="frames that are scored all the same")
    assert ask(socket, "snapshot", inline=True)["statistic"] is None
    assert ask(socket, "resume") == {"phase": "armed"}
    wait_until(lambda: ask(socket, "snapshot", inline=True)["statistic"] is not None, what="frames judged again")
