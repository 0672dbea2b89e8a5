"""The whole agent as its users start it: a process, a real broker, a real model, real files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.door import ask
from agent.errors import InspectdError
from engines.bundle import Bundle
from tests.broker import Mosquitto, Subscriber
from tests.support.parts import draw_part, write_parts

SETTINGS = """\
site = "plant"
state_directory = "state"
[mqtt]
url = "{url}"
[cameras.line1]
bundle = "{bundle}"
[cameras.line1.source]
{source}
[cameras.line1.calibration]
frames = 60
max_frames = 60
false_alarms = "1 per 100 frames"
[cameras.line1.alarm]
rule = "1 of 1"
clear_after_seconds = 0
"""

Starter = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts `inspectd run` on a settings file; kills what still runs in the end."""
    running: list[subprocess.Popen[str]] = []

    def starter(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agent.cli", "run", "--config", str(tmp_path / "inspectd.toml"), *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield starter
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def broker(mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A real broker, running."""
    return mosquitto()


def configure(tmp_path: Path, bundle: Bundle, source: str, url: str = "mqtt://127.0.0.1:1") -> None:
    (tmp_path / "inspectd.toml").write_text(SETTINGS.format(url=url, bundle=bundle.path, source=source))


def await_state(
    tmp_path: Path, condition: Callable[[dict[str, Any]], bool], timeout_seconds: float = 60.0
) -> dict[str, Any]:
    """The state of the camera once it is as wanted."""
    end, state = time.monotonic() + timeout_seconds, {}
    while time.monotonic() < end:
        try:
            state = ask(tmp_path / "state" / "control.sock", "status")["cameras"]["line1"]
        except InspectdError:
            state = {}
        if state and condition(state):
            return state
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_seconds} s; last state {state}")


def stop(process: subprocess.Popen[str]) -> tuple[int, float, str]:
    """SIGTERM, then exit code, seconds it took, and what was logged."""
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    return process.returncode, time.monotonic() - started, log


def write_line(folder: Path, good: int, bad: int) -> None:
    """A folder of good parts, then bad ones."""
    write_parts(folder, good, seed=7)
    rng = np.random.default_rng(8)
    for index in range(bad):
        picture = draw_part(rng)
        picture[8:20, 8:20] = 255 * ((np.indices((12, 12)).sum(0) // 2) % 2)
        assert cv2.imwrite(str(folder / f"z{index:03}.png"), picture)


def test_a_folder_is_calibrated_on_inspected_and_delivered(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """Good parts, then bad ones: alarms with pictures arrive at a subscriber; the agent ends with the folder."""
    write_line(tmp_path / "parts", good=90, bad=3)
    configure(tmp_path, tiny_bundle, f'kind = "folder"\npath = "{tmp_path / "parts"}"', broker.url)
    watch = subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "watch", broker.url, "--out", str(tmp_path / "seen")],
        stdout=subprocess.DEVNULL,
    )
    try:
        process = start()
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
        end = time.monotonic() + 20
        while not list((tmp_path / "seen").glob("line1/*/overlay.jpg")) and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        watch.terminate()
        watch.wait()
    documents = [json.loads(path.read_text()) for path in (tmp_path / "seen").glob("line1/*/raised.json")]
    assert any(document["frame"] >= 90 for document in documents), log
    document = max(documents, key=lambda found: found["frame"])
    assert document["schema"] == "inspectd.alarm/1"
    assert document["score"] > document["threshold"]
    assert document["regions"]
    folder = tmp_path / "seen" / "line1" / document["id"]
    assert cv2.imread(str(folder / "heatmap.png")) is not None
    assert cv2.imread(str(folder / "frame.jpg")) is not None


def test_drift_is_one_event_and_a_retained_flag(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """Good parts, then the same under a worse light: the scores move, an event says so once, the threshold stays."""
    parts = write_parts(tmp_path / "parts", 90, seed=7)
    rng = np.random.default_rng(8)
    for index in range(500):
        dim = np.clip(draw_part(rng) * 0.8 + rng.normal(0, 4, (40, 40)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(parts / f"z{index:03}.png"), dim)
    configure(tmp_path, tiny_bundle, f'kind = "folder"\npath = "{parts}"', broker.url)
    subscriber = Subscriber(broker, "inspectd/plant/line1/event", "inspectd/plant/line1/state")
    process = start("--set", 'cameras.line1.calibration.false_alarms="1 per day"')
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    (event,) = [json.loads(message.payload) for message in subscriber.on("/event")]
    states = [json.loads(message.payload) for message in subscriber.on("/state")]
    assert (event["schema"], event["event"], event["camera"]) == ("inspectd.event/1", "drift", "line1")
    assert abs(event["shift"]) > 0.5
    flagged = next(state for state in states if state["drift"])
    assert event["calibration"] == flagged["calibration"] == states[-1]["calibration"]
    assert flagged["shift"] == event["shift"]
    assert "standard deviations" in event["text"]


def test_a_restart_is_armed_at_once_and_stop_takes_two_seconds(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    configure(tmp_path, tiny_bundle, 'kind = "simulator"\nframes_per_second = 100.0\ngood_frames = 100000', broker.url)
    process = start()
    first = await_state(tmp_path, lambda state: state["phase"] == "armed")
    code, seconds, log = stop(process)
    assert code == 0, log
    assert seconds < 4.0, "2 s wanted; the rest is the interpreter on a busy machine"
    again = start()
    state = await_state(tmp_path, lambda state: state["phase"] == "armed" and state["frames"] > 0)
    assert state["calibration"] == first["calibration"]
    assert stop(again)[0] == 0


def test_without_a_broker_it_inspects_and_delivers_later(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    write_line(tmp_path / "parts", good=90, bad=2)
    source = f'kind = "folder"\npath = "{tmp_path / "parts"}"'
    broker.stop()
    configure(tmp_path, tiny_bundle, source, broker.url)
    process = start()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    broker.start()
    shutil.rmtree(tmp_path / "parts")
    write_line(tmp_path / "parts", good=1, bad=0)
    configure(tmp_path, tiny_bundle, source + "\nfollow = true", broker.url)
    start()
    end = time.monotonic() + 30
    waiting = -1
    while waiting != 0 and time.monotonic() < end:
        time.sleep(0.1)
        try:
            waiting = ask(tmp_path / "state" / "control.sock", "status")["delivery"]["outbox"]["waiting"]
            sequence = ask(tmp_path / "state" / "control.sock", "status")["delivery"]["outbox"]["sequence"]
        except InspectdError:
            continue
    assert waiting == 0
    assert sequence > 0


def test_recalibrate_shows_a_preview_and_rollback_undoes_it(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    configure(tmp_path, tiny_bundle, 'kind = "simulator"\nframes_per_second = 100.0\ngood_frames = 100000', broker.url)
    start()
    first = await_state(tmp_path, lambda state: state["phase"] == "armed")
    socket = str(tmp_path / "state" / "control.sock")
    inspectd = [sys.executable, "-m", "agent.cli"]
    done = subprocess.run(
        [*inspectd, "recalibrate", "--frames", "80", "--yes", "--socket", socket],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "this threshold would have alarmed" in done.stdout
    second = await_state(tmp_path, lambda state: state["calibration"] != first["calibration"])
    listed = subprocess.run(
        [*inspectd, "calibration", "list", "--json", "--socket", socket], capture_output=True, text=True, check=True
    )
    assert json.loads(listed.stdout)["active"] == second["calibration"]
    assert len(json.loads(listed.stdout)["calibrations"]) == 2
    subprocess.run([*inspectd, "calibration", "rollback", "--socket", socket], capture_output=True, check=True)
    await_state(tmp_path, lambda state: state["calibration"] == first["calibration"])
    html = tmp_path / "report.html"
    subprocess.run(
        [*inspectd, "calibration", "show", "--html", str(html), "--socket", socket], capture_output=True, check=True
    )
    assert "<svg" in html.read_text()


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ('kind = "folder"\npath = "nowhere"', "nowhere"),
        ('kind = "video"\npath = "nothing.mp4"', "nothing.mp4"),
        ('kind = "simulator"\nmode = "xray"\nmax_frames = 5', "16 bit"),
    ],
)
def test_a_source_that_cannot_work_ends_the_agent_with_a_line(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, source: str, wanted: str
) -> None:
    configure(tmp_path, tiny_bundle, source)
    process = start()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    complaint = [line for line in log.splitlines() if line.startswith("inspectd: ")]
    assert len(complaint) == 1
    assert wanted in complaint[0]
    assert "Traceback" not in log


def test_a_state_directory_that_cannot_be_written_is_a_line(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter
) -> None:
    configure(tmp_path, tiny_bundle, 'kind = "simulator"')
    (tmp_path / "state").write_text("a file")
    process = start()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "wanted a directory that this user can write to" in log
    assert "Traceback" not in log


def test_two_cameras_share_an_engine(tmp_path: Path, tiny_bundle: Bundle, start: Starter) -> None:
    source = 'kind = "simulator"\nframes_per_second = 50.0\ngood_frames = 100000'
    configure(tmp_path, tiny_bundle, source)
    path = tmp_path / "inspectd.toml"
    text = path.read_text()
    path.write_text(text + text[text.index("[cameras.line1]") :].replace("line1", "line2"))
    start()
    end = time.monotonic() + 60
    phases: list[str] = []
    while phases != ["armed", "armed"] and time.monotonic() < end:
        time.sleep(0.1)
        try:
            cameras = ask(tmp_path / "state" / "control.sock", "status")["cameras"]
        except InspectdError:
            continue
        phases = [state["phase"] for state in cameras.values()]
    assert phases == ["armed", "armed"]


def test_the_running_agent_loads_neither_torch_nor_matplotlib(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter
) -> None:
    """Their memory is not there to be spent on the device."""
    configure(tmp_path, tiny_bundle, 'kind = "simulator"\nframes_per_second = 50.0')
    process = start()
    await_state(tmp_path, lambda state: state["frames"] > 20)
    libraries = Path(f"/proc/{process.pid}/maps").read_text()
    assert "onnxruntime" in libraries
    assert "libtorch" not in libraries
    assert "matplotlib" not in libraries
    assert os.getpid() != process.pid
