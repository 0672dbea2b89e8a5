"""Hosts, devices and files that a source needs, and the first command against a source without frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.core.section import Host
from agent.sources.factory import parse_source


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("rtsp://admin:secret1@10.0.0.7/line1", [Host("10.0.0.7", 554)]),
        ("rtsps://camera/line1", [Host("camera", 322)]),
        ("http://camera:8080/v.cgi", [Host("camera", 8080)]),
        ("ftp://camera/line1", []),
        ("rtsp://camera:99999/line1", []),
        ("rtsp://[::1/line1", []),
    ],
)
def test_network_camera_needs_its_host(url: str, hosts: list[Host]) -> None:
    section = parse_source({"kind": "camera", "url": url})
    assert (section.hosts(), section.devices(), section.files()) == (hosts, [], [])
    assert "secret1" not in section.remedy()


@pytest.mark.parametrize(
    ("device", "path"), [(0, "/dev/video0"), ("1", "/dev/video1"), ("/dev/v4l/by-id/usb-cam", "/dev/v4l/by-id/usb-cam")]
)
def test_attached_camera_needs_its_device(device: str | int, path: str) -> None:
    section = parse_source({"kind": "camera", "device": device})
    assert (section.hosts(), section.devices(), section.files()) == ([], [path], [])
    assert "v4l2-ctl --list-devices" in section.remedy()


@pytest.mark.parametrize("values", [{"kind": "folder", "path": "/parts"}, {"kind": "video", "path": "/parts"}])
def test_folder_and_video_need_their_path(values: dict[str, Any]) -> None:
    section = parse_source(values)
    assert (section.hosts(), section.devices(), section.files()) == ([], [], [Path("/parts")])
    assert section.remedy() == f"ls -ld /parts; check the source (kind = {values['kind']}) in the settings"


def test_simulator_needs_nothing() -> None:
    section = parse_source({"kind": "simulator"})
    assert (section.hosts(), section.devices(), section.files()) == ([], [], [])
    assert section.remedy() == "check the source (kind = simulator) in the settings"
