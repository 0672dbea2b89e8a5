"""The subscriber for people, as a library and as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.core.records import AlarmEvent, AlarmKind
from agent.messages.alarm import AlarmPayload
from agent.messages.event import drift_event
from agent.outputs.mqtt.topics import Topics
from agent.outputs.outbox import Message
from agent.tools.watch import Watcher, topic_filters, watch
from calibration import Drift
from tests.support.broker import Mosquitto, wait_until
from tests.support.delivery import AT, TOPICS, accept, alarm_record, delivering, document, noise_png


def test_watch_tells_of_alarms_once_and_saves_their_pictures(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    lines: list[str] = []
    stop, out = threading.Event(), tmp_path / "out"
    thread = threading.Thread(
        target=watch, args=(broker.url,), kwargs={"on_line": lines.append, "out": out, "stop": stop}
    )
    thread.start()
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        wait_until(lambda: any("online" in line for line in lines))
        accept(outbox, "a1", pictures={"heatmap": noise_png(16)})
        accept(outbox, "a1", event=AlarmEvent.CLEARED)
        assert publisher.wait_until_delivered(10)
        wait_until(lambda: (out / "cam/a1/heatmap.png").exists() and (out / "cam/a1/cleared.json").exists())
    wait_until(lambda: any("stopped" in line for line in lines))
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert (out / "cam/a1/heatmap.png").read_bytes() == noise_png(16)
    assert json.loads((out / "cam/a1/raised.json").read_text())["sequence"] == 1
    assert [line.split()[3] for line in lines if "#" in line] == ["RAISED", "cleared"]


def test_repeated_alarm_is_told_of_once() -> None:
    lines: list[str] = []
    watcher = Watcher(lines.append)
    message = document("a1", 1)
    for _ in range(3):
        watcher.take(message.topic, message.payload)
    assert len(lines) == 1
    assert "score 3.5 over threshold 2" in lines[0]


def test_event_is_told_of_once_in_words() -> None:
    lines: list[str] = []
    watcher = Watcher(lines.append)
    event = drift_event("e1", "plant", "cam", Drift(flag=True, shift=-0.8, events=1), "c1", AT)
    for _ in range(2):
        watcher.take(TOPICS.event("cam"), event.to_bytes())
    assert len(lines) == 1
    assert "cam  DRIFT  good parts score 0.8 standard deviations lower" in lines[0]


def test_an_alarm_about_the_camera_says_what_is_wrong_with_it() -> None:
    lines: list[str] = []
    watcher = Watcher(lines.append)
    for event in AlarmEvent:
        alarm = replace(alarm_record("a1", event=event), kind=AlarmKind.CAMERA, reason="black: no light, wanted 70 %")
        payload = AlarmPayload.of(alarm, sequence=1, site="plant")
        watcher.take(TOPICS.alarm(alarm.camera), payload.to_bytes())
    assert "RAISED   camera: black: no light, wanted 70 %" in lines[0]
    assert "cleared  camera: no longer black" in lines[1]
    assert "score" not in lines[1]


def test_nonsense_from_the_network_is_a_line_and_stays_in_the_folder(tmp_path: Path) -> None:
    lines: list[str] = []
    out = tmp_path / "out"
    watcher = Watcher(lines.append, out=out)
    watcher.take("inspectd/plant/cam/alarm", b"{}")
    watcher.take("inspectd/plant/cam/alarm", b"\xff")
    watcher.take("inspectd/plant/../alarm/../heatmap", b"x")
    evil = document("../../evil", 1, camera="cam").payload.replace(b'"camera":"cam"', b'"camera":"\\u001b[31m/.."')
    watcher.take(TOPICS.alarm("cam"), evil)
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 3
    assert {path.relative_to(out).parts[0] for path in out.rglob("*") if path.is_file()} <= {"_", "__31m_"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_watch_of_a_tree_of_the_plants_own_saves_under_the_cameras_name(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    tree = Topics("plant", "acme/{site}/agent", "acme/{site}/cameras/{camera}/inspectd")
    lines: list[str] = []
    stop, out = threading.Event(), tmp_path / "out"
    options = {"on_line": lines.append, "out": out, "stop": stop, "topics": tree}
    thread = threading.Thread(target=watch, args=(broker.url,), kwargs=options)
    thread.start()
    with delivering(broker.url, tmp_path, topics=tree) as (outbox, _):
        wait_until(lambda: any("online" in line for line in lines))
        shot = Message(tree.picture("cam", "a1", "heatmap"), b"png", "a1", "heatmap", picture=True)
        alarm = document("a1", 1)
        outbox.accept("cam", lambda sequence: [replace(alarm, topic=tree.alarm("cam")), shot])
        wait_until(lambda: (out / "cam/a1/heatmap.png").exists())
    stop.set()
    thread.join(10)
    assert [path.name for path in out.iterdir()] == ["cam"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_process_ends_cleanly_on_a_signal(mosquitto: Callable[..., Mosquitto], number: signal.Signals) -> None:
    broker = mosquitto()
    script = (
        "from agent.tools.watch import watch; print('up', flush=True); "
        f"watch({broker.url!r}, on_line=print); print('bye')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    wait_until(lambda: "New client connected" in (broker.directory / "mosquitto.log").read_text())
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "bye\n", "")


@pytest.mark.parametrize("site", ["", "a/b", "#"])
def test_impossible_site_is_refused(site: str) -> None:
    with pytest.raises(Permanent, match="site"):
        topic_filters("inspectd", site, "+")
