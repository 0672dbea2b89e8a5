"""Parts that pass under a free-running camera, each with one result: a whole agent on the simulated line."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.core.records import Image
from agent.inspection.station import SETTLING_FRAMES
from agent.sources.simulator import SimulatedLine
from agent.sources.simulator.source import SimulatorSource
from agent.sources.source import Captured
from tests.support.agent_settings import settings_text
from tests.support.agents import await_state, running_service, socket_path
from tests.support.broker import Mosquitto, Subscriber, wait_until

BUNDLE = Path(__file__).parents[3] / "engines" / "bundles" / "shipped" / "simulator-camera.bundle"
WINDOW, PARTS = 50, 70
LINE = SimulatedLine(seed=2, defect_rate=0.1, frames_per_part=4, gap_frames=4, good_frames=WINDOW * 8 + 40)

_PARTS = """
[cameras.line1.parts.presence]
background = "empty.png"
max_frames = 12
"""


# After so many parts, one stops on the belt for so many frames; later there is no light for as many, between two parts.
STOPPED_PART, STILL_FRAMES, DARK_PART = 4, 30, 7


class TroubledLine(SimulatedLine):
    """A line with a part that stops, and a moment without light."""

    def image(self, frame_index: int) -> Image:
        stop = STOPPED_PART * self.frames_per_cycle + 2
        if frame_index < stop:
            return super().image(frame_index)
        frame_index = max(stop, frame_index - STILL_FRAMES)
        dark = DARK_PART * self.frames_per_cycle + self.frames_per_part + 3
        if frame_index < dark:
            return super().image(frame_index)
        if frame_index < dark + STILL_FRAMES:
            return np.zeros_like(super().image(dark))
        return super().image(frame_index - STILL_FRAMES)


def configure(directory: Path, broker: Mosquitto, source: str) -> Path:
    assert cv2.imwrite(str(directory / "empty.png"), LINE.empty_image())
    calibration = f'frames = {WINDOW}\nmax_frames = {WINDOW}\nfalse_alarms = "1 per 100 parts"'
    config = directory / "inspectd.toml"
    config.write_text(settings_text(BUNDLE, source, url=broker.url, calibration=calibration) + _PARTS)
    return config


def results(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in subscriber.on("/result")]


def test_as_many_results_as_parts_were_shown(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The camera waits for the inspection, so that a busy machine drops no frames."""
    source = SimulatorSource(LINE, frames_per_second=None, frame_count=PARTS * LINE.frames_per_cycle)
    monkeypatch.setattr("agent.sources.simulator.source.from_settings", lambda settings, **_: source)
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    with running_service(configure(tmp_path, broker, 'kind = "simulator"')):
        frames = PARTS * LINE.frames_per_cycle
        state = await_state(socket_path(tmp_path), lambda state: state["frames"] == frames, 300.0)
        wait_until(lambda: len(results(subscriber)) >= PARTS, what="a result for each part")
    found = results(subscriber)
    shown = [LINE.part_in_view(document["frame"] + 1) for document in found]
    assert shown == list(range(PARTS)), "each once, in order"
    judged = [index for index, document in enumerate(found) if document["verdict"] != "not_judged"]
    settling = -(-SETTLING_FRAMES // LINE.frames_per_cycle)
    assert judged == list(range(settling + WINDOW, PARTS)), "the window is of parts, not of frames without one"
    bad = [index for index in judged if LINE.part(index).kind is not None]
    assert [index for index in judged if found[index]["verdict"] == "nok"] == bad
    assert bad, "some of them are"
    assert all(3 <= found[index]["frames"] <= 4 for index in judged), "not those in which it enters or leaves"
    assert state["left_out"] == 0
    assert not [message for message in subscriber.on("/alarm") if b'"kind":"camera"' in message.payload]


def test_part_that_stops_has_one_result_and_darkness_is_no_good_part(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = TroubledLine(seed=2, defect_rate=0.0, frames_per_part=4, gap_frames=6)
    frames = 12 * line.frames_per_cycle + 2 * STILL_FRAMES
    halfway = threading.Event()
    overdue = threading.Event()

    class Source(SimulatorSource):
        def _read(self) -> Captured:
            captured = super()._read()
            if self._index == STOPPED_PART * line.frames_per_cycle + 25:
                halfway.set()
                assert overdue.wait(300.0)
            return captured

    source = Source(line, frames_per_second=None, frame_count=frames)
    monkeypatch.setattr("agent.sources.simulator.source.from_settings", lambda settings, **_: source)
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    with running_service(configure(tmp_path, broker, 'kind = "simulator"')):
        assert halfway.wait(300.0)
        state = await_state(socket_path(tmp_path), lambda state: state["reason"] is not None, 240.0)
        assert state["reason"].startswith("a part does not leave the view: it stopped, parts touch, or the empty view")
        overdue.set()
        state = await_state(socket_path(tmp_path), lambda state: state["frames"] == frames, 300.0)
        assert state["reason"] is None
        wait_until(lambda: len(results(subscriber)) >= 13)
    assert len(results(subscriber)) == 12 + 1, "one for each part, and one for the darkness, which may have hidden one"
    assert {document["verdict"] for document in results(subscriber)} == {"not_judged"}, "it is still calibrating"
