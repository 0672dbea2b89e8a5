"""Sources that give frames, none, too few, or frames that the model does not accept."""

from __future__ import annotations

import socket
from ctypes.util import find_library
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.doctor import CheckResult, Level
from agent.doctor.camera import check_cameras
from agent.settings.load import load_settings
from engines.bundles import Bundle
from tests.support.broker import free_port
from tests.support.check_results import Configure, only
from tests.support.loose_parts import HEIGHT, WIDTH, Lies, aligned_copy, draw, empty, taught
from tests.support.parts import write_parts
from tests.support.rtsp_camera import RtspCamera, missing


def check(config: Path) -> CheckResult:
    return only(check_cameras(load_settings(config), max_seconds=0.2))


def test_simulator_gives_frames_at_its_rate(configure: Configure) -> None:
    result = check(configure(source='{ kind = "simulator", frames_per_second = 10.0 }'))
    assert result.level is Level.OK
    assert result.text.startswith("512×512 gray, 8 bit, ")


def test_image_that_the_model_does_not_accept_is_a_problem(configure: Configure) -> None:
    result = check(configure(source='{ kind = "simulator", mode = "xray" }'))
    assert result.level is Level.PROBLEM
    assert "16 bit" in result.text


def test_empty_folder_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    result = check(configure(source=f'{{ kind = "folder", path = "{tmp_path / "parts"}" }}'))
    assert result.level is Level.PROBLEM
    assert "holds no image" in result.text
    assert f"ls -ld {tmp_path / 'parts'}" in str(result.fix)


def test_network_camera_that_does_not_answer_is_a_problem(configure: Configure) -> None:
    result = check(configure(source='{ kind = "camera", url = "rtsp://127.0.0.1:1/line" }'))
    assert result.level is Level.PROBLEM
    assert result.text.endswith("127.0.0.1 port 1: connection refused")
    assert result.fix == "ping -c 3 127.0.0.1; then open the same address in VLC"


def test_camera_slower_than_asked_is_a_warning(configure: Configure) -> None:
    """The simulator cannot draw so many frames a second, on any machine."""
    result = check(configure(source='{ kind = "simulator", frames_per_second = 1000000.0 }'))
    assert result.level is Level.WARNING
    assert "wanted 1e+06 frames/s" in result.text


def test_port_of_a_dicom_receiver_is_checked_and_not_listened_at(configure: Configure) -> None:
    port = free_port()
    config = configure(source=f'{{ kind = "dicom", port = {port} }}')
    assert check(config).text == f"127.0.0.1 port {port} is free for senders"
    with socket.create_server(("127.0.0.1", port)):
        taken = check(config)
    assert taken.level is Level.PROBLEM
    assert taken.text == f"127.0.0.1 port {port} cannot be opened: Address already in use"
    assert f"sport = :{port}" in str(taken.fix)


@pytest.mark.parametrize("shown", [True, False])
def test_a_camera_that_shows_no_part_is_a_warning(
    configure: Configure, tiny_bundle: Bundle, tmp_path: Path, shown: bool
) -> None:
    alignment = taught(tmp_path / "reference.png").for_size(HEIGHT, WIDTH)
    bundle = aligned_copy(tiny_bundle, tmp_path, alignment)
    rng = np.random.default_rng(1)
    (tmp_path / "parts").mkdir()
    image = draw(Lies(5.0, -3.0, 4.0), rng) if shown else empty(rng)
    assert cv2.imwrite(str(tmp_path / "parts" / "1.png"), image)
    result = check(configure(source=f'{{ kind = "folder", path = "{tmp_path / "parts"}" }}', bundle=bundle.path))
    if shown:
        assert result.level is Level.OK
        assert "160×120 gray, 8 bit; a part is " in result.text
        assert "px right, " in result.text
    else:
        assert result.level is Level.WARNING
        assert "160×120 gray, 8 bit; no part was found: the best match is 0." in result.text


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((512, 512), None),
        ((512, 400), "parts.presence.background is 400×512 gray, 8 bit, the camera's image 512×512 gray, 8 bit"),
        (None, "parts.presence.background: "),
    ],
)
def test_background_of_the_empty_view_is_compared_with_an_image_of_the_camera(
    configure: Configure, tmp_path: Path, size: tuple[int, int] | None, wanted: str | None
) -> None:
    background = tmp_path / "empty.png"
    if size is not None:
        assert cv2.imwrite(str(background), np.full(size, 90, np.uint8))
    config = configure()
    config.write_text(config.read_text() + f'[cameras.line1.parts.presence]\nbackground = "{background}"\n')
    result = check(config)
    assert result.level is (Level.OK if wanted is None else Level.PROBLEM), result.text
    assert wanted is None or wanted in result.text


@pytest.mark.parametrize("images", [0, 2])
def test_followed_folder_without_a_new_image_does_not_keep_the_doctor_waiting(
    configure: Configure, tmp_path: Path, images: int
) -> None:
    folder = write_parts(tmp_path / "parts", images) if images else tmp_path / "parts"
    folder.mkdir(exist_ok=True)
    config = configure(source=f'{{ kind = "folder", path = "{folder}", follow = true }}')
    result = only(check_cameras(load_settings(config), max_seconds=0.2, first_frame_seconds=3.0 if images else 0.2))
    assert result.level is Level.OK
    assert ("nothing new within 0.2 s" in result.text) is (images == 0)


@pytest.mark.parametrize(("codec", "levels"), [("h265", [Level.OK]), ("h265-b-frames", [Level.OK, Level.WARNING])])
def test_b_frames_are_a_warning(configure: Configure, codec: str, levels: list[Level]) -> None:
    pytest.importorskip("av", reason="needs the extra rtsp")
    if missing(codec) is not None:
        pytest.skip(missing(codec) or "")
    with RtspCamera(codec) as camera:
        source = f'{{ kind = "camera", url = "{camera.url()}", read_timeout_seconds = 10.0 }}'
        results = list(check_cameras(load_settings(configure(source=source)), max_seconds=0.2))
    assert [result.level for result in results] == levels
    if len(results) > 1:
        assert results[1].text.startswith("sends B-frames, so each frame comes")


def test_decoder_of_gstreamer_is_named(configure: Configure) -> None:
    """There is no decoder in hardware on machines for tests."""
    if missing("h265") is not None or find_library("gstapp-1.0") is None:
        pytest.skip(missing("h265") or "GStreamer is not installed")
    with RtspCamera("h265") as camera:
        source = f'{{ kind = "camera", url = "{camera.url()}", decoder = "gstreamer", read_timeout_seconds = 10.0 }}'
        frames, decoder = check_cameras(load_settings(configure(source=source)), max_seconds=0.2)
    assert frames.text.startswith("320×240 colour, 8 bit")
    assert decoder.level is Level.OK
    assert decoder.text == "GStreamer decodes it in software, since there is no nvv4l2decoder"


def test_attribute_that_dicom_does_not_have_is_a_problem(configure: Configure) -> None:
    pytest.importorskip("pynetdicom", reason="the receiver needs the dicom extra")
    source = f'{{ kind = "dicom", port = {free_port()}, part_attribute = "PartID" }}'
    result = only(check_cameras(load_settings(configure(source=source))))
    assert result.level is Level.PROBLEM
    assert result.text.startswith("DICOM has no attribute 'PartID'")


@pytest.mark.parametrize("place", ["url", "device"])
def test_empty_address_is_rejected_with_the_settings(configure: Configure, place: str) -> None:
    with pytest.raises(Permanent, match=r"wanted either device .* or url"):
        load_settings(configure(source=f'{{ kind = "camera", {place} = "" }}'))
