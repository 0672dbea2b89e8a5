"""When the state of a camera is published, and its phase; the camera belongs to a whole agent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.clock import utc_now
from agent.core.records import Phase
from agent.inspection import CameraLine, CameraState, CameraStatus
from agent.monitoring import StatePublisher, phase_of
from agent.monitoring.camera_state import state_payload
from agent.monitoring.state_publisher import REPEAT_SECONDS
from agent.service import Service
from engines.bundles.bundle import Bundle
from tests.support.agents import GOOD_PARTS, await_state, configure, is_armed, running_service, socket_path
from tests.support.broker import Mosquitto, Subscriber, wait_until


@pytest.fixture
def service(tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto) -> Iterator[Service]:
    """An agent whose main loop does not run: only the test publishes states."""
    with running_service(configure(tmp_path, tiny_bundle, GOOD_PARTS, broker.url)) as running:
        await_state(socket_path(tmp_path), is_armed)
        yield running


@pytest.fixture
def line(service: Service) -> CameraLine:
    return service.lines["line1"]


def test_state_is_published_after_a_change_and_every_few_seconds(
    service: Service, line: CameraLine, broker: Mosquitto
) -> None:
    """Counters, which grow all the time, are no change."""
    seconds = 1000.0
    subscriber = Subscriber(broker, "inspectd/plant/line1/state")
    publisher = StatePublisher("plant", service.lines, service.outputs, clock=lambda: seconds)

    def documents() -> list[dict[str, object]]:
        return [json.loads(message.payload) for message in subscriber.messages]

    publisher.publish_all()
    wait_until(lambda: len(documents()) == 1)
    frames = line.counters.frames
    wait_until(lambda: line.counters.frames > frames)
    seconds += REPEAT_SECONDS - 0.1
    publisher.publish_all()
    line.call(lambda: service.pause(line))
    publisher.publish_all()
    wait_until(lambda: len(documents()) == 2)
    assert [document["phase"] for document in documents()] == ["armed", "paused"]
    seconds += REPEAT_SECONDS
    publisher.publish_all()
    wait_until(lambda: len(documents()) == 3)
    publisher.publish_all(final=True)
    wait_until(lambda: len(documents()) == 4)
    assert (documents()[-1]["phase"], documents()[-1]["reason"]) == ("stopped", "the agent was stopped")
    seconds += REPEAT_SECONDS
    publisher.publish_all()
    publisher.publish_all(final=True)
    wait_until(lambda: len(documents()) == 5)
    assert documents()[-1]["phase"] == "stopped"
    subscriber.close()


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (CameraState.OPENING, Phase.ARMED),
        (CameraState.DELIVERING, Phase.ARMED),
        (CameraState.LOST, Phase.CAMERA_LOST),
        (CameraState.FAILED, Phase.CAMERA_LOST),
        (CameraState.ENDED, Phase.STOPPED),
    ],
)
def test_camera_without_frames_counts_before_the_station(line: CameraLine, state: CameraState, phase: Phase) -> None:
    assert phase_of(line.station, CameraStatus(state)) is phase


@pytest.fixture
def idle_line(line: CameraLine) -> CameraLine:
    """A camera whose frames have all been inspected, and that reads no more: only the test changes its figures."""
    line.capture.stop()
    line.capture.join(60)
    assert not line.capture.is_alive()
    wait_until(lambda: not line.frames.busy, what="every frame taken")
    # This call runs after the frame that was taken last.
    line.call(lambda: None)
    return line


@pytest.mark.parametrize(
    ("silent_seconds", "state", "stale"),
    [
        (0.0, CameraState.DELIVERING, False),
        (120.0, CameraState.DELIVERING, True),
        (0.0, CameraState.LOST, True),
    ],
)
def test_figures_of_a_silent_camera_are_null(
    idle_line: CameraLine, silent_seconds: float, state: CameraState, stale: bool
) -> None:
    line, now = idle_line, time.monotonic()
    for index in range(50):
        line.station._rate.update(now - silent_seconds - 0.05 * (49 - index))
    line.counters.verdict_durations.add(0.01)
    line.capture._set_status(CameraStatus(state))
    payload = state_payload("plant", line, utc_now())
    assert (payload.frames_per_second is None, payload.latency_ms is None) == (stale, stale)
    assert line.station._rate.frames_per_second is not None, "the rate of the line is still known"
