"""A snapshot's pictures: measured against the calibration or the bundle, and made to fit the broker."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.alarms.evidence import Evidence, EvidenceImage
from agent.commands.snapshot import draw_seen, inlined, take_snapshot
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


def test_snapshot_before_calibration_has_no_threshold_and_says_what_its_heat_is() -> None:
    seen = uncalibrated(4.0)
    result = take_snapshot(
        "line1", seen, phase=Phase.CALIBRATING, reason=None, now_monotonic=seen.frame.captured_monotonic + 2.5
    )
    assert (result.score, result.threshold, result.statistic, result.heat) == (3.5, None, None, "reference")
    assert (result.frame, result.age_seconds) == (7, 2.5)


def test_station_shows_the_latest_frame_with_what_it_was_measured_against(tmp_path: Path) -> None:
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
    pictures = {picture.name: picture for picture in draw_seen(uncalibrated(level), Evidence(tmp_path), lambda: 2.0)}
    heatmap = cv2.imdecode(np.frombuffer(pictures["heatmap"].payload, np.uint8), cv2.IMREAD_COLOR)
    side = heatmap.shape[0] // 8
    blue, _, red = heatmap[2 * side + side // 2, 5 * side + side // 2].astype(int)
    assert bool(red > blue) is hot
    assert set(pictures) == {"heatmap", "overlay", "frame"}


def test_inlined_pictures_are_whole() -> None:
    payload = noise_png(20)
    shown = inlined([EvidenceImage("heatmap", payload, "image/png")])["heatmap"]
    assert shown.base64 is not None
    assert base64.b64decode(shown.base64) == payload
    assert (shown.sha256, shown.topic) == (hashlib.sha256(payload).hexdigest(), None)
