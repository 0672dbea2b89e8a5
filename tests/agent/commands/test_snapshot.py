"""A snapshot: relative to the calibration or to the bundle's reference frames, with its images."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.alarms.evidence import Evidence, EvidenceImage
from agent.commands.snapshot import describe, draw, inline
from agent.core.records import Phase
from agent.inspection.outcome import LastFrame
from tests.support.delivery import noise_png
from tests.support.frames import frame, prepared
from tests.support.stations import PLAN, feed, heat, make


def spot(level: float) -> np.ndarray:
    """A heatmap with one hot place."""
    heatmap = np.full((8, 8), 0.1, np.float32)
    heatmap[2, 5] = level
    return heatmap


def uncalibrated(level: float) -> LastFrame:
    return LastFrame(frame(7), 3.5, None, spot(level), None)


def test_snapshot_before_calibration_has_no_threshold_and_names_its_reference() -> None:
    last = uncalibrated(4.0)
    now = last.frame.captured_monotonic + 2.5
    result = describe("line1", last, phase=Phase.CALIBRATING, reason=None, now_monotonic=now)
    assert (result.score, result.threshold, result.statistic, result.heat) == (3.5, None, None, "reference")
    assert (result.frame, result.age_seconds) == (7, 2.5)


def test_station_keeps_the_latest_frame_with_its_calibration(tmp_path: Path) -> None:
    station = make(tmp_path)
    assert station.last_frame is None
    feed(station, 5)
    assert station.last_frame is not None
    assert (station.last_frame.frame.index, station.last_frame.calibration) == (4, None)
    feed(station, 15 + PLAN.frames, first=5)
    station.judge(prepared(300), 12.5, heat(0.2))
    assert (station.last_frame.frame.index, station.last_frame.score, station.last_frame.statistic) == (300, 12.5, 12.5)
    assert station.last_frame.calibration is station.calibration


@pytest.mark.parametrize(("level", "hot"), [(4.0, True), (1.9, False)])
def test_heat_before_calibration_is_relative_to_the_reference_frames(tmp_path: Path, level: float, hot: bool) -> None:
    """Twice the reference's hottest spot is amber or brighter, just below it is blue."""
    images = {image.name: image for image in draw(uncalibrated(level), Evidence(tmp_path), lambda: 2.0)}
    heatmap = cv2.imdecode(np.frombuffer(images["heatmap"].payload, np.uint8), cv2.IMREAD_COLOR)
    side = heatmap.shape[0] // 8
    blue, _, red = heatmap[2 * side + side // 2, 5 * side + side // 2].astype(int)
    assert bool(red > blue) is hot
    assert set(images) == {"heatmap", "overlay", "frame"}


def test_inline_images_are_complete() -> None:
    payload = noise_png(20)
    entry = inline([EvidenceImage("heatmap", payload, "image/png")])["heatmap"]
    assert entry.base64 is not None
    assert base64.b64decode(entry.base64) == payload
    assert (entry.sha256, entry.topic) == (hashlib.sha256(payload).hexdigest(), None)
