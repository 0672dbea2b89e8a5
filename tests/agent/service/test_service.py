"""The whole agent as its users start it: a process, a real broker, a real model, real files."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.commands.socket_client import ask
from agent.core.errors import InspectdError, Permanent
from agent.service.service import Service
from agent.settings.load import load_settings
from engines.bundles.bundle import Bundle
from engines.bundles.signing import generate_keys, sign_bundle
from engines.errors import EngineError
from engines.runtime.onnxruntime import OnnxRuntimeEngine
from tests.support.agent_settings import NO_BROKER, settings_text
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.parts import draw_part, write_parts

Starter = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts `inspectd run` on a settings file; kills what still runs in the end."""
    running: list[subprocess.Popen[str]] = []

    def starter(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agent.cli", "run", "--config", str(tmp_path / "inspectd.toml"), *more]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, **pipes, text=True)
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


def configure(tmp_path: Path, bundle: Bundle, source: str, url: str = NO_BROKER) -> None:
    (tmp_path / "inspectd.toml").write_text(settings_text(bundle.path, source, url=url))


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


def test_agent_with_trusted_keys_runs_signed_bundles_only(tiny_bundle: Bundle, tmp_path: Path, start: Starter) -> None:
    """One clear line while the bundle is not signed; once it is, the agent inspects with it."""
    bundle = Path(shutil.copytree(tiny_bundle.path, tmp_path / "line1.bundle"))
    private, _ = generate_keys(tmp_path / "plant")
    write_parts(tmp_path / "parts", 80)
    source = 'kind = "folder"\npath = "parts"'
    (tmp_path / "inspectd.toml").write_text('trusted_keys = ["plant.pub"]\n' + settings_text(Path(bundle.name), source))
    process = start()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    assert [line for line in log.splitlines() if line.startswith("inspectd: ")] == [
        f"inspectd: {bundle}: not signed, wanted a signature by a trusted key (inspectd bundle sign)"
    ]
    assert "Traceback" not in log
    fingerprint = sign_bundle(bundle, private)
    process = start()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert f"signed by {fingerprint}" in log


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
    for index in range(330):
        dim = np.clip(draw_part(rng) * 0.8 + rng.normal(0, 4, (40, 40)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(parts / f"z{index:03}.png"), dim)
    configure(tmp_path, tiny_bundle, f'kind = "folder"\npath = "{parts}"', broker.url)
    subscriber = Subscriber(broker, "inspectd/plant/line1/event", "inspectd/plant/line1/state")
    process = start("--set", "cameras.line1.alarm.clear_after_seconds=60")
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
    assert "with this threshold, the last 24 h of scores give" in done.stdout
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


def test_snapshot_shows_what_an_uncalibrated_camera_sees_and_how_it_scores(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """On the command line with files, over MQTT with retained pictures, in a phase without a threshold."""
    configure(tmp_path, tiny_bundle, 'kind = "simulator"\ngood_frames = 100000', broker.url)
    start(
        *("--set", "mqtt.allow_insecure_commands=true"),
        *("--set", "cameras.line1.calibration.frames=100000", "--set", "cameras.line1.calibration.max_frames=100000"),
    )
    await_state(tmp_path, lambda state: state["phase"] == "calibrating")
    done = snapshot(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no threshold yet; calibrating" in done.stdout
    files = sorted((tmp_path / "shots").iterdir())
    assert [path.stem.rpartition("-")[2] for path in files] == ["frame", "heatmap", "overlay"]
    assert all(cv2.imread(str(path)) is not None for path in files)

    desk = Subscriber(broker, "desk/me")
    desk.publish("inspectd/plant/line1/command/snapshot", b"", ResponseTopic="desk/me", CorrelationData=b"1")
    wait_until(lambda: desk.messages)
    answer = json.loads(desk.messages[0].payload)
    assert answer["ok"], answer
    result = answer["result"]
    assert (result["threshold"], result["heat"], result["phase"]) == (None, "reference", "calibrating")
    late = Subscriber(broker, *(picture["topic"] for picture in result["pictures"].values()))
    wait_until(lambda: len(late.messages) == 3)
    for picture in result["pictures"].values():
        (arrived,) = late.on(picture["topic"])
        assert hashlib.sha256(arrived.payload).hexdigest() == picture["sha256"]


def test_snapshot_of_an_armed_camera_is_measured_against_its_threshold(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter
) -> None:
    configure(tmp_path, tiny_bundle, 'kind = "simulator"\nframes_per_second = 100.0\ngood_frames = 100000')
    start()
    state = await_state(tmp_path, lambda state: state["phase"] == "armed")
    done = snapshot(tmp_path, "--json")
    result = json.loads(done.stdout)
    assert result["threshold"] == state["threshold"]
    assert result["calibration"] == state["calibration"]
    assert result["heat"] == "calibration"
    assert result["statistic"] >= 0
    assert all(Path(path).exists() for path in result["pictures"].values())
    ask(tmp_path / "state" / "control.sock", "pause")
    await_state(tmp_path, lambda state: state["phase"] == "paused")
    wait_until(lambda: json.loads(snapshot(tmp_path, "--json").stdout)["statistic"] is None)


def test_pause_clears_the_alarm_that_stands(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """The last part is bad and nothing follows it: without the pause its alarm would stand for ever."""
    write_line(tmp_path / "parts", good=80, bad=1)
    configure(tmp_path, tiny_bundle, 'kind = "folder"\npath = "parts"\nfollow = true', broker.url)
    subscriber = Subscriber(broker, "inspectd/plant/line1/alarm")
    start()
    wait_until(lambda: subscriber.messages, seconds=60)
    ask(tmp_path / "state" / "control.sock", "pause")
    wait_until(lambda: b'"cleared"' in subscriber.messages[-1].payload)
    raised, cleared = [json.loads(message.payload) for message in subscriber.messages][-2:]
    assert (raised["event"], cleared["event"], cleared["id"]) == ("raised", "cleared", raised["id"])
    assert cleared["reason"] == "paused"
    assert cleared["sequence"] == raised["sequence"] + 1


def test_snapshot_without_a_frame_is_a_line(tmp_path: Path, tiny_bundle: Bundle, start: Starter) -> None:
    configure(tmp_path, tiny_bundle, 'kind = "camera"\nurl = "rtsp://127.0.0.1:1/nothing"')
    start()
    await_state(tmp_path, lambda state: state["phase"] == "camera_lost")
    done = snapshot(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("inspectd: camera line1: no frame yet (")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "shots").exists()


def snapshot(tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """`inspectd snapshot` with its pictures in `shots`."""
    socket = str(tmp_path / "state" / "control.sock")
    command = ["snapshot", "line1", "--socket", socket, "--out", str(tmp_path / "shots"), *more]
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", *command], capture_output=True, text=True, timeout=60, check=False
    )


def test_reload_takes_over_what_can_change_live_and_names_the_rest(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """By command and by SIGHUP; a broken file changes nothing."""
    configure(tmp_path, tiny_bundle, 'kind = "simulator"\nframes_per_second = 50.0', broker.url)
    config = tmp_path / "inspectd.toml"
    whole = config.read_text()
    config.write_text(whole.replace("[mqtt]", "[mqtt]\nscores_per_second = 0\nallow_insecure_commands = true"))
    process = start()
    await_state(tmp_path, lambda state: state["frames"] > 0)
    subscriber = Subscriber(broker, "inspectd/plant/line1/#")
    door = tmp_path / "state" / "control.sock"

    changed = whole.replace("[mqtt]", '[mqtt]\nscores_per_second = 20\ncommands = ["status"]')
    changed = changed.replace("[mqtt]", '[log]\nlevel = "debug"\n[mqtt]').replace("tiny.bundle", "other.bundle")
    config.write_text(changed.replace("[mqtt]", "[mqtt]\nallow_insecure_commands = true"))
    command = [sys.executable, "-m", "agent.cli", "reload", "--socket", str(door)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [
        "in force: mqtt.scores_per_second, mqtt.commands, log.level",
        "needs a restart: cameras.line1.bundle",
    ]
    wait_until(lambda: subscriber.on("/score"), what="scores, of which there were none before")
    subscriber.publish("inspectd/plant/line1/command/pause", b"")
    wait_until(lambda: subscriber.on("/response/pause"))
    assert b"not among those that the settings allow" in subscriber.on("/response/pause")[0].payload

    config.write_text(changed.replace("scores_per_second = 20", "scores_per_second = 99"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "mqtt.scores_per_second = 99" in line

    process.send_signal(signal.SIGHUP)
    # The thread that heeds the signal publishes the state after it.
    ask(door, "pause")
    wait_until(lambda: b'"phase":"paused"' in subscriber.on("/state")[-1].payload)
    config.write_text(whole)
    process.send_signal(signal.SIGHUP)

    def refused() -> bool:
        subscriber.publish("inspectd/plant/line1/command/status", b"")
        return any(b"without TLS" in message.payload for message in subscriber.on("/response/status"))

    wait_until(refused, what="commands over MQTT forbidden again")
    code, _, log = stop(process)
    assert code == 0
    assert "settings not read again: " in log
    assert "Traceback" not in log


def test_hang_up_of_the_terminal_ends_the_agent(tmp_path: Path, tiny_bundle: Bundle) -> None:
    """Nobody would see it go on; a service, which has no terminal, reads its settings again instead."""
    configure(tmp_path, tiny_bundle, 'kind = "simulator"\nframes_per_second = 50.0')
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(tmp_path / "inspectd.toml")]
    # Under nohup it would be deaf to the signal.
    as_usual = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    process = subprocess.Popen(command, stdin=terminal, stderr=subprocess.DEVNULL, preexec_fn=as_usual)
    try:
        await_state(tmp_path, lambda state: state["frames"] > 0)
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == -signal.SIGHUP
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)
        os.close(terminal)


def test_agent_in_a_unified_namespace_is_heard_asked_watched_and_found(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """State, commands, `watch --config` and Home Assistant's discovery, in a tree of the plant's own."""
    configure(tmp_path, tiny_bundle, 'kind = "simulator"\nframes_per_second = 50.0', broker.url)
    config = tmp_path / "inspectd.toml"
    tree = """[mqtt]
topic_template = "{enterprise}/{site}/{line}/inspectd"
camera_topic_template = "{enterprise}/{site}/{line}/{camera}/inspectd"
topic_levels = { enterprise = "acme", line = "l4" }
home_assistant = true
allow_insecure_commands = true
"""
    config.write_text(config.read_text().replace("[mqtt]\n", tree))
    subscriber = Subscriber(broker, "acme/#", "homeassistant/#")
    start()
    wait_until(lambda: subscriber.on("acme/plant/l4/line1/inspectd/state"))
    subscriber.publish("acme/plant/l4/line1/inspectd/command/status", b"")
    wait_until(lambda: subscriber.on("acme/plant/l4/line1/inspectd/response/status"))
    (found,) = subscriber.on("homeassistant/device/inspectd_plant_line1/config")
    assert b"acme/plant/l4/line1/inspectd/score" in found.payload
    watch = subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "watch", "--config", str(config)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "plant: agent online\n"
    finally:
        watch.kill()
        watch.communicate()


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


def test_an_engine_that_fails_is_what_the_agent_ends_with_though_it_cannot_be_closed_either(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that is gone: each call after the first one fails as well, and is not the reason."""

    def fail(call: str) -> Callable[..., None]:
        def failing(*arguments: Any) -> None:
            raise EngineError(f"tensorrt engine: {call} says CUDA_ERROR_LAUNCH_FAILED (719)")

        return failing

    write_parts(tmp_path / "parts", 3)
    configure(tmp_path, tiny_bundle, 'kind = "folder"\npath = "parts"\nfollow = true')
    service = Service(load_settings(tmp_path / "inspectd.toml"))
    monkeypatch.setattr(OnnxRuntimeEngine, "_score", fail("cuGraphLaunch"))
    monkeypatch.setattr(OnnxRuntimeEngine, "_close", fail("cuGraphExecDestroy"))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    hook = threading.excepthook
    try:
        with pytest.raises(Permanent, match="cuGraphLaunch says CUDA_ERROR_LAUNCH_FAILED"):
            service.run()
    finally:
        threading.excepthook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


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
