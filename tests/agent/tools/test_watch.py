"""The subscriber for people, as a library and as a process, with a real broker."""

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
from agent.core.records import AlarmEvent
from agent.outputs.mqtt.topics import Topics
from agent.outputs.outbox import Message
from agent.tools.watch import topic_filters, watch
from tests.support.broker import Mosquitto, wait_until
from tests.support.delivery import accept, delivering, document, noise_png


def test_alarms_are_printed_once_and_saved_with_their_images(
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
        accept(outbox, "a1", images={"heatmap": noise_png(16)})
        accept(outbox, "a1", event=AlarmEvent.CLEARED)
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: (out / "cam/a1/heatmap.png").exists() and (out / "cam/a1/cleared.json").exists())
    wait_until(lambda: any("stopped" in line for line in lines))
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert (out / "cam/a1/heatmap.png").read_bytes() == noise_png(16)
    assert json.loads((out / "cam/a1/raised.json").read_text())["sequence"] == 1
    assert [line.split()[3] for line in lines if "#" in line] == ["RAISED", "cleared"]


def test_alarms_on_topics_of_the_plants_own_are_saved_under_the_cameras_name(
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
        shot = Message(tree.image("cam", "a1", "heatmap"), b"png", "a1", "heatmap", is_image=True)
        alarm = document("a1", 1)
        outbox.accept("cam", lambda sequence: [replace(alarm, topic=tree.alarm("cam")), shot])
        wait_until(lambda: (out / "cam/a1/heatmap.png").exists())
    stop.set()
    thread.join(60)
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
    output, errors = process.communicate(timeout=150)
    assert (process.returncode, output, errors) == (0, "bye\n", "")


@pytest.mark.parametrize("site", ["", "a/b", "#"])
def test_invalid_site_is_rejected(site: str) -> None:
    with pytest.raises(Permanent, match="site"):
        topic_filters("inspectd", site, "+")
