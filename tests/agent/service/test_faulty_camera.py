"""A camera that fails under the whole agent: a process, a real broker, a real model, 20 frames a second."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.broker import Mosquitto, Subscriber, wait_until

BUNDLES = Path(str(files("engines.bundles.shipped")))

# The window ends after 20 + 200 frames; each fault lasts as long as the agent may take to name it, and a little more.
FIRST_FAULT, FRAMES_BETWEEN = 240, 100
FAULT_SECONDS = 2.5
WITHIN = timedelta(seconds=2)


@contextmanager
def running(directory: Path, settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """`inspectd run` with these settings; ends well, or is killed where the test did not get that far."""
    (directory / "inspectd.toml").write_text(settings)
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(directory / "inspectd.toml")]
    with (directory / "log").open("w") as log:
        agent = subprocess.Popen(command, stderr=log)
    try:
        yield agent
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(20) == 0, (directory / "log").read_text()
    finally:
        agent.kill()
        agent.wait()


def documents(subscriber: Subscriber, ending: str) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in subscriber.on(ending)]


def captured(document: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(document["captured_at"].replace("Z", "+00:00"))


def began(scores: list[dict[str, Any]], frame: int) -> datetime:
    """When a fault began: capture of the last frame before it that telemetry told of."""
    return max(captured(score) for score in scores if score["frame"] < frame)


def simulator(mode: str, faults: tuple[str, ...]) -> str:
    """A good line whose camera fails now and then."""
    timetable = [
        f'{{ kind = "{kind}", start_frame = {FIRST_FAULT + i * FRAMES_BETWEEN}, duration_seconds = {FAULT_SECONDS} }}'
        for i, kind in enumerate(faults)
    ]
    return f'kind = "simulator"\nmode = "{mode}"\nseed = 5\ndefect_rate = 0.0\nfaults = [{", ".join(timetable)}]'


@pytest.mark.parametrize(
    ("mode", "faults"), [("camera", ("black", "lost", "shifted")), ("xray", ("frozen", "saturated", "defocused"))]
)
def test_a_failing_camera_is_named_to_the_factory_within_two_seconds_and_back_within_two(
    tmp_path: Path, mosquitto: Callable[..., Mosquitto], mode: str, faults: tuple[str, ...]
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/line1/#")
    settings = settings_text(
        BUNDLES / f"simulator-{mode}.bundle",
        simulator(mode, faults),
        url=broker.url,
        mqtt="scores_per_second = 20.0",
        calibration="frames = 200\nmax_frames = 200",
        alarm="clear_after_seconds = 0.2",
    )
    with running(tmp_path, settings):
        wait_until(lambda: len(subscriber.on("/alarm")) >= 6, seconds=120, what="three alarms, raised and cleared")
        wait_until(lambda: documents(subscriber, "/state")[-1]["phase"] == "armed", what="inspecting again")
    alarms, scores = documents(subscriber, "/alarm"), documents(subscriber, "/score")
    subscriber.close()
    assert [(alarm["kind"], alarm["event"]) for alarm in alarms] == [("camera", "raised"), ("camera", "cleared")] * 3
    for index, (raised, cleared, fault) in enumerate(zip(alarms[::2], alarms[1::2], faults, strict=True)):
        assert raised["id"] == cleared["id"]
        assert raised["reason"].startswith(f"{fault}: ")
        assert set(raised["evidence"]) == (set() if fault == "lost" else {"frame"})
        start = began(scores, FIRST_FAULT + index * FRAMES_BETWEEN)
        assert captured(raised) - start <= WITHIN, fault
        assert captured(cleared) - start <= timedelta(seconds=FAULT_SECONDS) + WITHIN, fault
        blind = [state for state in documents(subscriber, "/state") if state["alarm"] == raised["id"]]
        assert {state["phase"] for state in blind} <= {"blind", "camera_lost"}
        assert any(fault in state["reason"] or "loss of the camera" in state["reason"] for state in blind)


def test_a_camera_that_is_lost_before_its_first_calibration_is_named_as_well(
    tmp_path: Path, tiny_bundle: Bundle, mosquitto: Callable[..., Mosquitto]
) -> None:
    """There is no threshold yet, so there is none in the alarm; the calibration goes on when the camera is back."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/plant/line1/#")
    fault = 'faults = [{ kind = "lost", start_frame = 40, duration_seconds = 1.5 }]'
    source = f'kind = "simulator"\nframes_per_second = 50.0\ngood_frames = 100000\n{fault}'
    with running(tmp_path, settings_text(tiny_bundle.path, source, url=broker.url, alarm='rule = "1 of 1"')):
        wait_until(lambda: len(subscriber.on("/alarm")) >= 2, seconds=60, what="an alarm, raised and cleared")
        wait_until(lambda: documents(subscriber, "/state")[-1]["phase"] == "armed", seconds=60, what="armed")
    raised, cleared = documents(subscriber, "/alarm")[:2]
    states = documents(subscriber, "/state")
    subscriber.close()
    assert (raised["kind"], raised["event"], cleared["event"]) == ("camera", "raised", "cleared")
    assert raised["id"] == cleared["id"]
    assert raised["reason"].startswith("lost: ")
    assert (raised["threshold"], raised["rule"], raised["calibration"]) == (None, None, None)
    assert {state["phase"] for state in states if state["alarm"] == raised["id"]} <= {"camera_lost", "calibrating"}
