"""Two cameras see the same part: one joined result over a real broker, across a kill of the agent."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

from agent.cli.terminal.text import status_lines
from agent.commands import ask
from agent.messages import CountPayload, JoinedResultPayload
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import ONE_SHIFT
from tests.support.agents import agent_processes, await_status, inspectd, socket_path, write_good_and_bad_parts
from tests.support.broker import Mosquitto, Subscriber, wait_until

PARTS = 70

_SETTINGS = """\
site = "plant"
state_directory = "state"

[mqtt]
url = "{url}"

{shifts}

[parts.p1]
cameras = ["top", "side"]
within = "6 s"
"""

_CAMERA = """
[cameras.{name}]
bundle = "{bundle}"
source = {{ kind = "folder", follow = true, path = "{name}" }}
calibration = {{ frames = 60, max_frames = 60, false_alarms = "1 per 20 parts" }}
"""


def joined(subscriber: Subscriber) -> list[dict[str, Any]]:
    """The joined results as they arrived, repeated deliveries included."""
    topic = "inspectd/plant/parts/p1/result"
    return [json.loads(message.payload) for message in list(subscriber.messages) if message.topic == topic]


def by_part(subscriber: Subscriber) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for document in joined(subscriber):
        JoinedResultPayload.model_validate(document)
        known = found.setdefault(document["part"], document)
        assert known["id"] == document["id"], f"a second result of part {document['part']}"
    return found


def counted(subscriber: Subscriber) -> int:
    """How many parts the last numbers of the group count."""
    counts = [message.payload for message in subscriber.messages if message.topic == "inspectd/plant/parts/p1/count"]
    shift = CountPayload.model_validate_json(counts[-1]).shift
    return shift.ok + shift.nok + shift.not_judged


def put(image: Path, folder: Path, name: str) -> None:
    """A whole file at once: a folder is read while it is written."""
    folder.mkdir(exist_ok=True)
    shutil.copy(image, folder / f".{name}")
    (folder / f".{name}").rename(folder / name)


def test_groups_come_and_go_while_their_cameras_run(tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto) -> None:
    """A part in flight has its result; the retained numbers of a group that is gone are removed from the broker."""
    for camera in ("top", "side"):
        write_good_and_bad_parts(tmp_path / camera, good=PARTS, bad=0)
    write_good_and_bad_parts(tmp_path / "more", good=1, bad=0)
    (good,) = (tmp_path / "more").iterdir()
    config, socket = tmp_path / "inspectd.toml", socket_path(tmp_path)
    cameras = "".join(_CAMERA.format(name=name, bundle=tiny_bundle.path) for name in ("top", "side"))
    settings = _SETTINGS.format(url=broker.url, shifts=ONE_SHIFT).replace("6 s", "60 s") + cameras
    ungrouped = settings[: settings.index("[parts.p1]")] + cameras
    config.write_text(settings)
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    with agent_processes(config) as start:
        process = start()
        wait_until(lambda: len(by_part(subscriber)) == PARTS, seconds=120)
        wait_until(lambda: any(m.topic.endswith("parts/p1/count") for m in subscriber.messages))
        put(good, tmp_path / "top", "half.png")
        await_status(socket, lambda status: status["parts"]["p1"]["waiting"] == 1)
        config.write_text(ungrouped)
        assert ask(socket, "reload") == {"changed": ["parts.p1"], "at_next_calibration": [], "needs_restart": []}
        wait_until(lambda: "half.png" in by_part(subscriber))
        half = by_part(subscriber)["half.png"]
        assert (half["verdict"], half["reason"], half["missing"]) == ("not_judged", "view_missing", ["side"])
        await_status(socket, lambda status: status["parts"] == {})
        wait_until(lambda: not kept_counts(broker), what="the removal of the retained numbers")
        put(good, tmp_path / "side", "half.png")
        config.write_text(ungrouped + '[parts.p1]\ncameras = ["side", "top"]\n')
        assert ask(socket, "reload")["changed"] == ["parts.p1"]
        await_status(socket, lambda status: status["parts"].keys() == {"p1"})
        for camera in ("side", "top"):
            put(good, tmp_path / camera, "whole.png")
        wait_until(lambda: "whole.png" in by_part(subscriber))
        assert by_part(subscriber)["whole.png"]["sequence"] == PARTS + 2, "the numbers go on"
        wait_until(lambda: len(kept_counts(broker)) == 1, what="the retained numbers")
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def kept_counts(broker: Mosquitto) -> list[bytes]:
    """The numbers of the group that the broker keeps."""
    late = Subscriber(broker, "inspectd/plant/status", "inspectd/plant/parts/p1/count")
    try:
        wait_until(lambda: bool(late.on("/status")))
        return [message.payload for message in late.on("/count")]
    finally:
        late.close()


def test_every_part_has_one_joined_result_across_a_kill(tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto) -> None:
    for camera in ("top", "side"):
        write_good_and_bad_parts(tmp_path / camera, good=PARTS, bad=0)
    write_good_and_bad_parts(tmp_path / "more", good=1, bad=1)
    good, bad = sorted((tmp_path / "more").iterdir())
    config = tmp_path / "inspectd.toml"
    cameras = "".join(_CAMERA.format(name=name, bundle=tiny_bundle.path) for name in ("top", "side"))
    config.write_text(_SETTINGS.format(url=broker.url, shifts=ONE_SHIFT) + cameras)
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    with agent_processes(config) as start:
        process = start()
        wait_until(lambda: len(by_part(subscriber)) == PARTS, seconds=120)
        put(good, tmp_path / "top", "half.png")
        wait_until(lambda: any(b"half.png" in message.payload for message in subscriber.on("top/result")))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert "half.png" not in by_part(subscriber)
        put(bad, tmp_path / "side", "half.png")
        process = start()
        wait_until(lambda: "half.png" in by_part(subscriber))
        half = by_part(subscriber)["half.png"]
        assert (half["verdict"], half["missing"], len(half["views"])) == ("nok", [], 2)
        put(good, tmp_path / "side", "lone.png")
        wait_until(lambda: "lone.png" in by_part(subscriber))
        lone = by_part(subscriber)["lone.png"]
        assert (lone["verdict"], lone["reason"], lone["missing"]) == ("not_judged", "view_missing", ["top"])
        assert lone["latency_ms"] >= 6000.0
        put(good, tmp_path / "top", "lone.png")
        status = await_status(socket_path(tmp_path), lambda status: status["parts"]["p1"]["late_views"] == 1)
        assert "  views that came after the result: 1" in list(status_lines(status))
        assert any("the view of top came after" in problem for problem in status["delivery"]["problems"])
        assert sum(status["parts"]["p1"]["shift_parts"][each] for each in ("ok", "nok", "not_judged")) == PARTS + 2
        assert ask(socket_path(tmp_path), "status", camera="top")["parts"].keys() == {"p1"}
        shown = inspectd("results", "list", "LONE", "--group", "p1", "--socket", socket_path(tmp_path))
        assert shown.stdout.split()[1:] == ["parts/p1", "not_judged", "lone.png", "view_missing"]
        shown = inspectd("results", "list", "--verdict", "nok", "--camera", "side", "--socket", socket_path(tmp_path))
        assert shown.stdout.split()[1:5] == ["side", "nok", "half.png", "score"]
        wrong = inspectd("results", "list", "--group", "p2", "--socket", socket_path(tmp_path))
        assert (wrong.returncode, wrong.stderr) == (1, "inspectd: group: got 'p2', wanted one of p1\n")
        config.write_text(config.read_text().replace('within = "6 s"', 'within = "1 s"'))
        assert ask(socket_path(tmp_path), "reload")["changed"] == ["parts.p1.within"]
        put(good, tmp_path / "side", "quick.png")
        wait_until(lambda: "quick.png" in by_part(subscriber))
        assert 1000.0 <= by_part(subscriber)["quick.png"]["latency_ms"] < 6000.0
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    sequences = [document["sequence"] for document in by_part(subscriber).values()]
    assert sequences == list(range(1, PARTS + 4)), "in order, without gaps"
    wait_until(lambda: counted(subscriber) == PARTS + 3, what="the last numbers")
