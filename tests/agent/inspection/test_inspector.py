"""One pass through engine and stations."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.inspector import Inspector
from agent.inspection.station import Station
from engines.runtime.engine import Engine

Captured = Callable[..., PreparedFrame]


def test_a_batch_is_judged_in_order_by_the_station_of_each_camera(
    engine: Engine, station_of: Callable[[str], Station], captured: Captured
) -> None:
    stations = {camera: station_of(camera) for camera in ("a", "b")}
    batch = [captured(4, "b"), captured(7, "a")]
    outcomes = Inspector(engine, stations).inspect(batch)
    assert [outcome.frame for outcome in outcomes] == [prepared.frame for prepared in batch]
    for prepared, outcome in zip(batch, outcomes, strict=True):
        last = stations[prepared.frame.camera].last_frame
        assert last is not None
        assert last.frame is prepared.frame
        alone = engine.score(prepared.pixels[np.newaxis])
        assert outcome.score == pytest.approx(float(alone.score[0]), rel=1e-4)
        assert last.heatmap == pytest.approx(alone.heatmap[0], rel=1e-3, abs=1e-4)


def test_every_stage_of_every_frame_is_timed(
    engine: Engine, station_of: Callable[[str], Station], captured: Captured
) -> None:
    timings: list[tuple[str, str, float]] = []
    stations = {camera: station_of(camera) for camera in ("a", "b")}
    inspector = Inspector(engine, stations, on_timing=lambda *timing: timings.append(timing))
    before = time.monotonic()
    inspector.inspect([captured(0, "a"), captured(0, "b")])
    passed = time.monotonic() - before
    assert [timing[:2] for timing in timings] == [
        (camera, stage) for camera in ("a", "b") for stage in ("queue", "engine", "station", "verdict")
    ]
    seconds = {(camera, stage): value for camera, stage, value in timings}
    assert 0.0 < seconds["a", "engine"] == seconds["b", "engine"] < passed
    parts = sum(seconds["a", stage] for stage in ("queue", "engine", "station"))
    assert parts == pytest.approx(seconds["a", "verdict"])
