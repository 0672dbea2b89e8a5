"""The whole agent as its users start it: a process, a real broker, a real model, real files."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.commands import ask
from agent.core.errors import Permanent
from agent.service import Service
from agent.settings import load_settings
from engines.bundles.bundle import Bundle
from engines.bundles.signing import generate_keys, sign_bundle
from engines.errors import EngineError
from engines.runtime.onnxruntime import OnnxRuntimeEngine
from tests.support.agent_settings import settings_text
from tests.support.agents import (
    GOOD_PARTS,
    INSPECTD,
    Starter,
    await_state,
    await_status,
    configure,
    is_armed,
    socket_path,
    stop,
    write_good_and_bad_parts,
)
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.documents import status as status_document
from tests.support.parts import draw_part, write_parts


def test_agent_with_trusted_keys_runs_signed_bundles_only(tiny_bundle: Bundle, tmp_path: Path, start: Starter) -> None:
    """One line while the bundle is not signed; once it is, the agent inspects with it."""
    bundle = Path(shutil.copytree(tiny_bundle.path, tmp_path / "line1.bundle"))
    private, _ = generate_keys(tmp_path / "plant")
    write_parts(tmp_path / "parts", 80)
    source = 'kind = "folder"\npath = "parts"'
    (tmp_path / "inspectd.toml").write_text('trusted_keys = ["plant.pub"]\n' + settings_text(Path(bundle.name), source))
    process = start()
    _, log = process.communicate(timeout=150)
    assert process.returncode == 1
    assert [line for line in log.splitlines() if line.startswith("inspectd: ")] == [
        f"inspectd: {bundle}: not signed, wanted a signature by a trusted key (inspectd bundle sign)"
    ]
    assert "Traceback" not in log
    fingerprint = sign_bundle(bundle, private)
    process = start()
    _, log = process.communicate(timeout=150)
    assert process.returncode == 0, log
    assert f"signed by {fingerprint}" in log


def test_folder_of_good_and_bad_parts_gives_alarms_with_images(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """Good parts fill the window; bad ones raise alarms, which `inspectd watch` saves; the agent ends."""
    write_good_and_bad_parts(tmp_path / "parts", good=90, bad=3)
    configure(tmp_path, tiny_bundle, f'kind = "folder"\npath = "{tmp_path / "parts"}"', broker.url)
    announce(broker)
    with watching(broker.url, "--out", str(tmp_path / "seen")) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "plant: agent online\n", "it has subscribed"
        process = start()
        _, log = process.communicate(timeout=150)
        assert process.returncode == 0, log
        wait_until(lambda: list((tmp_path / "seen").glob("line1/*/overlay.jpg")), what="images of an alarm")
    documents = [json.loads(path.read_text()) for path in (tmp_path / "seen").glob("line1/*/raised.json")]
    assert any(document["frame"] >= 90 for document in documents), log
    document = max(documents, key=lambda found: found["frame"])
    assert document["schema"] == "inspectd.alarm/1"
    assert document["score"] > document["threshold"]
    assert document["regions"]
    folder = tmp_path / "seen" / "line1" / document["id"]
    assert cv2.imread(str(folder / "heatmap.png")) is not None
    assert cv2.imread(str(folder / "frame.jpg")) is not None


def announce(broker: Mosquitto) -> None:
    """A retained status for those who subscribe before the agent starts."""
    publisher = Subscriber(broker, "nothing")
    publisher.publish("inspectd/plant/status", status_document().to_bytes(), retain=True)
    publisher.close()


@contextmanager
def watching(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`inspectd watch`, running."""
    watch = subprocess.Popen([*INSPECTD, "watch", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield watch
    finally:
        watch.terminate()
        watch.communicate()


def test_drift_is_one_event_and_a_flag_in_the_state(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """Good parts, then good parts in weaker light: the scores shift, the threshold stays."""
    parts = write_parts(tmp_path / "parts", 90, seed=7)
    rng = np.random.default_rng(8)
    for index in range(330):
        dim = np.clip(draw_part(rng) * 0.8 + rng.normal(0, 4, (40, 40)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(parts / f"z{index:03}.png"), dim)
    configure(tmp_path, tiny_bundle, f'kind = "folder"\npath = "{parts}"', broker.url)
    subscriber = Subscriber(broker, "inspectd/plant/line1/event", "inspectd/plant/line1/state")
    process = start("--set", "cameras.line1.alarm.clear_after_seconds=60")
    _, log = process.communicate(timeout=150)
    assert process.returncode == 0, log
    wait_until(lambda: b'"stopped"' in subscriber.on("/state")[-1].payload, what="the last state")
    (event,) = [json.loads(message.payload) for message in subscriber.on("/event")]
    states = [json.loads(message.payload) for message in subscriber.on("/state")]
    assert (event["schema"], event["event"], event["camera"]) == ("inspectd.event/1", "drift", "line1")
    assert abs(event["shift"]) > 0.5
    flagged = next(state for state in states if state["drift"])
    assert event["calibration"] == flagged["calibration"] == states[-1]["calibration"]
    assert flagged["shift"] == event["shift"]
    assert "standard deviations" in event["text"]


def test_restarted_agent_is_armed_with_the_same_calibration(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    configure(tmp_path, tiny_bundle, GOOD_PARTS, broker.url)
    subscriber = Subscriber(broker, "inspectd/plant/status", "inspectd/plant/line1/state")
    process = start()
    first = await_state(socket_path(tmp_path), is_armed)
    code, log = stop(process)
    assert code == 0, log
    wait_until(lambda: b'"stopped"' in subscriber.on("/status")[-1].payload, what="the status `stopped`")
    last = json.loads(subscriber.on("/state")[-1].payload)
    assert (last["phase"], last["reason"]) == ("stopped", "the agent was stopped")
    known = len(subscriber.on("/state"))
    again = start()
    assert await_state(socket_path(tmp_path), is_armed)["calibration"] == first["calibration"]
    assert stop(again)[0] == 0
    wait_until(lambda: len(subscriber.on("/state")) > known + 1 and b'"stopped"' in subscriber.on("/state")[-1].payload)
    phases = [json.loads(message.payload)["phase"] for message in subscriber.on("/state")[known:]]
    assert "armed" in phases
    assert "calibrating" not in phases


def test_stop_does_not_wait_for_a_hung_engine_or_broker(tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto) -> None:
    """It returns while both still hang."""
    service = Service(load_settings(configure(tmp_path, tiny_bundle, GOOD_PARTS, broker.url)))
    service.start()
    await_state(socket_path(tmp_path), is_armed)
    (inspection,) = service.inspections
    held, released = threading.Event(), threading.Event()
    hang = threading.Thread(target=lambda: inspection.call(lambda: (held.set(), released.wait(120))))
    hang.start()
    stopping = threading.Thread(target=service.shut_down)
    try:
        assert held.wait(60)
        broker.suspend()
        stopping.start()
        stopping.join(60)
        assert not stopping.is_alive()
        assert inspection.is_alive()
    finally:
        released.set()
        hang.join()
        broker.resume()
        stopping.join()


def test_alarms_without_a_broker_are_delivered_by_the_next_agent(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    write_good_and_bad_parts(tmp_path / "parts", good=90, bad=2)
    source = f'kind = "folder"\npath = "{tmp_path / "parts"}"'
    broker.stop()
    configure(tmp_path, tiny_bundle, source, broker.url)
    process = start()
    _, log = process.communicate(timeout=150)
    assert process.returncode == 0, log
    broker.start()
    subscriber = Subscriber(broker, "inspectd/plant/line1/alarm")
    shutil.rmtree(tmp_path / "parts")
    write_parts(tmp_path / "parts", 1)
    configure(tmp_path, tiny_bundle, source + "\nfollow = true", broker.url)
    start()
    status = await_status(socket_path(tmp_path), lambda status: status["delivery"]["outbox"]["waiting"] == 0)
    sequence = status["delivery"]["outbox"]["sequence"]
    assert sequence > 0
    wait_until(lambda: len(subscriber.messages) >= sequence, what="every alarm")
    assert [json.loads(message.payload)["sequence"] for message in subscriber.messages] == [*range(1, sequence + 1)]


def test_hangup_of_the_terminal_ends_the_agent(tmp_path: Path, tiny_bundle: Bundle) -> None:
    """A service, which has no terminal, reads its settings again instead."""
    configure(tmp_path, tiny_bundle, GOOD_PARTS)
    keyboard, terminal = pty.openpty()
    command = [*INSPECTD, "run", "--config", str(tmp_path / "inspectd.toml")]
    # `nohup` would make the agent ignore the signal.
    default = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    process = subprocess.Popen(command, stdin=terminal, stderr=subprocess.DEVNULL, preexec_fn=default)
    try:
        await_state(socket_path(tmp_path), lambda state: state["frames"] > 0)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == -signal.SIGHUP
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)
        os.close(terminal)


def test_agent_in_a_unified_namespace_has_all_its_topics_there(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """State, commands, `watch --config` and Home Assistant's discovery, in a topic tree of the plant's own."""
    config = configure(tmp_path, tiny_bundle, GOOD_PARTS, broker.url)
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
    with watching("--config", str(config)) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "plant: agent online\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('kind = "folder"\npath = "nowhere"', "nowhere"),
        ('kind = "video"\npath = "nothing.mp4"', "nothing.mp4"),
        ('kind = "simulator"\nmode = "xray"\nmax_frames = 5', "16 bit"),
    ],
)
def test_source_that_cannot_work_ends_the_agent_with_one_line(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, source: str, reason: str
) -> None:
    configure(tmp_path, tiny_bundle, source)
    process = start()
    _, log = process.communicate(timeout=150)
    assert process.returncode == 1
    (line,) = [line for line in log.splitlines() if line.startswith("inspectd: ")]
    assert reason in line
    assert "Traceback" not in log


def test_state_directory_that_cannot_be_written_is_one_line(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter
) -> None:
    configure(tmp_path, tiny_bundle, GOOD_PARTS)
    (tmp_path / "state").write_text("a file")
    process = start()
    _, log = process.communicate(timeout=150)
    assert process.returncode == 1
    assert "wanted a directory that this user can write to" in log
    assert "Traceback" not in log


def test_agent_ends_with_the_engines_first_error_though_closing_fails_too(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error of a GPU every further call fails; the first one has the reason."""

    def fail(call: str) -> Callable[..., None]:
        def failing(*arguments: Any) -> None:
            raise EngineError(f"tensorrt engine: {call} returned CUDA_ERROR_LAUNCH_FAILED (719)")

        return failing

    write_parts(tmp_path / "parts", 3)
    configure(tmp_path, tiny_bundle, 'kind = "folder"\npath = "parts"\nfollow = true')
    service = Service(load_settings(tmp_path / "inspectd.toml"))
    monkeypatch.setattr(OnnxRuntimeEngine, "_score", fail("cuGraphLaunch"))
    monkeypatch.setattr(OnnxRuntimeEngine, "_close", fail("cuGraphExecDestroy"))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    hook = threading.excepthook
    try:
        with pytest.raises(Permanent, match="cuGraphLaunch returned CUDA_ERROR_LAUNCH_FAILED"):
            service.run()
    finally:
        threading.excepthook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def test_running_agent_loads_neither_torch_nor_matplotlib(tmp_path: Path, tiny_bundle: Bundle, start: Starter) -> None:
    """They would take memory that the device does not have."""
    configure(tmp_path, tiny_bundle, GOOD_PARTS)
    process = start()
    await_state(socket_path(tmp_path), is_armed)
    assert ask(socket_path(tmp_path), "snapshot", inline=True)["pictures"], "images are drawn without matplotlib"
    libraries = Path(f"/proc/{process.pid}/maps").read_text()
    assert "onnxruntime" in libraries, "the maps are those of the agent"
    assert "libtorch" not in libraries
    assert "matplotlib" not in libraries
