"""A snapshot: relative to the calibration or to the bundle's reference frames, with its images."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.alarms.evidence import Evidence, EvidenceImage
from agent.commands import ask
from agent.commands.snapshot import describe, draw, inline
from agent.core.records import Phase
from agent.inspection.outcome import LastFrame
from agent.service import Service
from engines.bundles.bundle import Bundle
from tests.support.agents import Starter, await_online, await_state, configure, inspectd, socket_path
from tests.support.broker import Mosquitto, Subscriber, wait_until
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


def test_snapshot_of_an_uncalibrated_camera_is_saved_and_published(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """As files on the command line, and over MQTT as retained images."""
    configure(tmp_path, tiny_bundle, 'kind = "simulator"\ngood_frames = 100000', broker.url)
    start(
        *("--set", "mqtt.allow_insecure_commands=true"),
        *("--set", "cameras.line1.calibration.frames=100000", "--set", "cameras.line1.calibration.max_frames=100000"),
    )
    await_state(socket_path(tmp_path), lambda state: state["phase"] == "calibrating")
    done = save_snapshot(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no threshold yet; calibrating" in done.stdout
    files = sorted((tmp_path / "shots").iterdir())
    assert [path.stem.rpartition("-")[2] for path in files] == ["frame", "heatmap", "overlay"]
    assert all(cv2.imread(str(path)) is not None for path in files)

    document = json.loads(save_snapshot(tmp_path, "--json").stdout)
    assert all(cv2.imread(path) is not None for path in document["pictures"].values())

    await_online(broker)
    desk = Subscriber(broker, "desk/me")
    desk.publish("inspectd/plant/line1/command/snapshot", b"", ResponseTopic="desk/me", CorrelationData=b"1")
    wait_until(lambda: desk.messages)
    response = json.loads(desk.messages[0].payload)
    assert response["ok"], response
    result = response["result"]
    assert (result["threshold"], result["heat"], result["phase"]) == (None, "reference", "calibrating")
    late = Subscriber(broker, *(entry["topic"] for entry in result["pictures"].values()))
    wait_until(lambda: len(late.messages) == 3)
    for entry in result["pictures"].values():
        (message,) = late.on(entry["topic"])
        assert hashlib.sha256(message.payload).hexdigest() == entry["sha256"]


def test_snapshot_of_an_armed_camera_has_its_threshold(service: Service) -> None:
    socket = service.settings.socket_path
    result, state = ask(socket, "snapshot", inline=True), ask(socket, "status")["cameras"]["line1"]
    assert (result["threshold"], result["calibration"]) == (state["threshold"], state["calibration"])
    assert (result["heat"], result["phase"]) == ("calibration", "armed")
    assert result["statistic"] >= 0
    assert set(result["pictures"]) == {"frame", "heatmap", "overlay"}


def test_snapshot_without_a_frame_is_one_line(tmp_path: Path, tiny_bundle: Bundle, start: Starter) -> None:
    configure(tmp_path, tiny_bundle, 'kind = "camera"\nurl = "rtsp://127.0.0.1:1/nothing"')
    start()
    await_state(socket_path(tmp_path), lambda state: state["phase"] == "camera_lost")
    done = save_snapshot(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("inspectd: camera line1: no frame yet (")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "shots").exists()


def save_snapshot(tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """`inspectd snapshot`, with its images in `shots`."""
    return inspectd("snapshot", "line1", "--socket", socket_path(tmp_path), "--out", tmp_path / "shots", *more)
