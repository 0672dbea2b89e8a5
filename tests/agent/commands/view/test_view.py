"""The commands of people who watch: live image, scores, images of alarms, device."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.commands import AGENT_COMMANDS, ask
from agent.core.errors import Permanent
from agent.service import Service
from tests.support.broker import wait_until


@pytest.fixture
def socket(service: Service) -> Path:
    return service.settings.socket_path


def decoded(text: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def test_live_image_has_its_heat_as_a_transparent_layer(socket: Path) -> None:
    found = ask(socket, "live", "line1")
    image, heat = decoded(found["image"]), decoded(found["heat"])
    assert image.shape[2] == 3
    assert heat.shape[2] == 4
    assert abs(image.shape[0] / image.shape[1] - heat.shape[0] / heat.shape[1]) < 0.02
    assert found["threshold"] > 0
    assert found["score"] >= 0


def test_live_image_is_shrunk_to_the_side_and_never_enlarged(socket: Path) -> None:
    assert max(decoded(ask(socket, "live", side=64)["image"]).shape[:2]) == 64
    natural = max(decoded(ask(socket, "snapshot", inline=True)["pictures"]["frame"]["base64"]).shape[:2])
    assert max(decoded(ask(socket, "live", side=1920)["image"]).shape[:2]) == min(1920, natural)


def test_frame_that_is_shown_already_is_not_encoded_again(service: Service, socket: Path) -> None:
    """With inspection paused in its source, the latest frame stays the same."""
    line = service.lines["line1"]
    index = line.call(lambda: line.station.last_frame.frame.index if line.station.last_frame else 0)
    seen = []

    def asked() -> bool:
        last = line.station.last_frame
        assert last is not None
        found = ask(socket, "live", after=last.frame.index)
        seen.append(found["image"])
        return found["image"] is None

    wait_until(asked, what="a request before the next frame")
    assert index >= 0
    assert None in seen


def test_scores_are_points_that_continue_where_the_last_request_ended(socket: Path) -> None:
    wait_until(lambda: len(ask(socket, "scores")["cameras"]["line1"]["points"]) > 3, what="points")
    found = ask(socket, "scores")["cameras"]["line1"]
    times = [point[0] for point in found["points"]]
    assert times == sorted(times)
    later = ask(socket, "scores", since=times[-2])["cameras"]["line1"]["points"]
    assert later[0][0] == times[-2]
    assert sum(point[3] for point in found["points"]) > 10


def test_scores_around_a_time_come_from_the_disk(service: Service, socket: Path) -> None:
    line = service.lines["line1"]
    line.call(line.score_log.flush)
    at = ask(socket, "scores")["now"]
    found = ask(socket, "scores", at=at, seconds=60.0)["cameras"]["line1"]["points"]
    assert found
    assert all(abs(point[0] - at) <= 60.0 for point in found)
    assert ask(socket, "scores", at=1.0, seconds=60.0)["cameras"]["line1"]["points"] == []


def test_image_of_an_unknown_alarm_is_rejected(socket: Path) -> None:
    with pytest.raises(Permanent, match="no alarm has the id"):
        ask(socket, "alarms/image", alarm="0195500a-7c00-7000-8000-000000000000")


def test_device_reports_what_the_system_gives(socket: Path) -> None:
    found = ask(socket, "device")
    assert found["cores"] > 0
    assert 0 < found["memory_free_bytes"] < found["memory_bytes"]
    assert 0 < found["disk_free_bytes"] <= found["disk_bytes"]


def test_commands_are_those_of_the_table(socket: Path) -> None:
    assert ask(socket, "commands")["commands"] == sorted(AGENT_COMMANDS)
