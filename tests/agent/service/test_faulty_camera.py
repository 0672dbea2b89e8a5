"""A camera that fails while the whole agent runs: a process, a real broker, a real model.

A busy machine slows the camera down, so these tests count frames, not seconds. That an alarm is raised and cleared
within two seconds is tested in `tests/agent/inspection/test_camera_gate.py`, on a clock of the tests' own.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.simulated_camera import BUNDLES, calibrated_camera

# Each fault lasts long enough to be reported at three judged frames per second too, and ends before the next begins.
FIRST_FAULT, FRAMES_BETWEEN = 20, 100
FAULT_SECONDS = 3.0

# Two seconds at the camera's 20 frames per second.
WITHIN_FRAMES = 40


@contextmanager
def running(directory: Path, settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """`inspectd run` with these settings, on the engine `onnxruntime`; it must stop on SIGTERM, or is killed."""
    (directory / "inspectd.toml").write_text(settings)
    config = str(directory / "inspectd.toml")
    command = [
        sys.executable,
        "-m",
        "agent.cli",
        "run",
        "--config",
        config,
        "--set",
        "cameras.line1.engine=onnxruntime",
    ]
    with (directory / "log").open("w") as log:
        agent = subprocess.Popen(command, stderr=log)
    try:
        yield agent
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(60) == 0, (directory / "log").read_text()
    finally:
        agent.kill()
        agent.wait()


def documents(subscriber: Subscriber, ending: str) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in subscriber.on(ending)]


def captured(document: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(document["captured_at"].replace("Z", "+00:00"))


def scored_during(scores: list[dict[str, Any]], first_frame: int, seconds: float) -> list[int]:
    """Indices of the frames captured in so many seconds from `first_frame` on, as far as telemetry reported them."""
    start = min(captured(score) for score in scores if score["frame"] >= first_frame)
    return [score["frame"] for score in scores if start <= captured(score) < start + timedelta(seconds=seconds)]


def simulator(mode: str, faults: tuple[str, ...]) -> str:
    """A line of good parts whose camera fails three times."""
    timetable = [
        f'{{ kind = "{kind}", start_frame = {FIRST_FAULT + i * FRAMES_BETWEEN}, duration_seconds = {FAULT_SECONDS} }}'
        for i, kind in enumerate(faults)
    ]
    return f'kind = "simulator"\nmode = "{mode}"\nseed = 5\ndefect_rate = 0.0\nfaults = [{", ".join(timetable)}]'


@pytest.mark.parametrize(
    ("mode", "faults"), [("camera", ("black", "lost", "shifted")), ("xray", ("frozen", "saturated", "defocused"))]
)
def test_each_fault_is_published_within_forty_frames_and_cleared_within_forty(
    tmp_path: Path, mosquitto: Callable[..., Mosquitto], mode: str, faults: tuple[str, ...]
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/line1/#")
    settings = settings_text(
        BUNDLES / f"simulator-{mode}.bundle",
        simulator(mode, faults),
        url=broker.url,
        mqtt="scores_per_second = 20.0",
        alarm="clear_after_seconds = 0.2",
    )
    # Calibrated before the agent starts, so that frames are judged from the first one on.
    with calibrated_camera(mode, tmp_path / "state" / "cameras" / "line1" / "calibrations"):
        pass
    with running(tmp_path, settings) as agent:
        wait_until(
            lambda: len(subscriber.on("/alarm")) >= 6 or agent.poll() is not None,
            seconds=200,
            what="three alarms, raised and cleared",
        )
        wait_until(lambda: documents(subscriber, "/state")[-1]["phase"] == "armed", what="judging again")
    alarms, scores = documents(subscriber, "/alarm"), documents(subscriber, "/score")
    states = documents(subscriber, "/state")
    subscriber.close()
    assert [(alarm["kind"], alarm["event"]) for alarm in alarms] == [("camera", "raised"), ("camera", "cleared")] * 3
    for index, (raised, cleared, fault) in enumerate(zip(alarms[::2], alarms[1::2], faults, strict=True)):
        start = FIRST_FAULT + index * FRAMES_BETWEEN
        assert raised["id"] == cleared["id"]
        assert raised["reason"].startswith(f"{fault}: ")
        assert set(raised["evidence"]) == (set() if fault == "lost" else {"frame"})
        if fault == "lost":
            last_before = raised["frame"]
            assert last_before < start
        else:
            last_before = max(scored_during(scores, start, FAULT_SECONDS))
            assert start <= raised["frame"] <= start + WITHIN_FRAMES, fault
        assert last_before < cleared["frame"] <= last_before + WITHIN_FRAMES, fault
        blind = [state for state in states if state["alarm"] == raised["id"]]
        assert {state["phase"] for state in blind} <= {"blind", "camera_lost"}
        assert any(fault in state["reason"] or "loss of the camera" in state["reason"] for state in blind)


def test_a_camera_lost_before_its_first_calibration_raises_the_alarm_too(
    tmp_path: Path, tiny_bundle: Bundle, mosquitto: Callable[..., Mosquitto]
) -> None:
    """The alarm has no threshold, since there is none yet; calibration goes on once the camera is back."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/line1/#")
    fault = 'faults = [{ kind = "lost", start_frame = 40, duration_seconds = 1.5 }]'
    source = f'kind = "simulator"\nframes_per_second = 50.0\ngood_frames = 100000\n{fault}'
    with running(tmp_path, settings_text(tiny_bundle.path, source, url=broker.url, alarm='rule = "1 of 1"')):
        wait_until(lambda: len(subscriber.on("/alarm")) >= 2, what="an alarm, raised and cleared")
        wait_until(lambda: documents(subscriber, "/state")[-1]["phase"] == "armed", what="armed")
    raised, cleared = documents(subscriber, "/alarm")[:2]
    states = documents(subscriber, "/state")
    subscriber.close()
    assert (raised["kind"], raised["event"], cleared["event"]) == ("camera", "raised", "cleared")
    assert raised["id"] == cleared["id"]
    assert raised["reason"].startswith("lost: ")
    assert (raised["threshold"], raised["rule"], raised["calibration"]) == (None, None, None)
    assert {state["phase"] for state in states if state["alarm"] == raised["id"]} <= {"camera_lost", "calibrating"}
