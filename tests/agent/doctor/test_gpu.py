"""Whether the user or the service may open a GPU's device files. The GPUs are made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.doctor import CheckResult, Level
from agent.doctor.gpu import check_gpu_for_service, check_gpu_for_user
from agent.doctor.gpu_files import GpuFile, GpuFiles
from tests.support.check_results import only, printing

UNIT = "inspectd@line1.service"
JETSON = GpuFiles("jetson", (GpuFile("/dev/nvmap", None, "video"), GpuFile("/dev/nvhost-gpu", "nvhost-gpu", "video")))
CARD = GpuFiles("nvidia", (GpuFile("/dev/nvidiactl", "nvidia-frontend", None), GpuFile("/dev/nvidia0", "nvidia", None)))

# `systemctl show` of the unit alone, and with each of two drop-ins.
BARE = "LoadState=loaded\nPrivateDevices=yes\nDevicePolicy=closed\n"
WITH_JETSON = """\
LoadState=loaded
PrivateDevices=no
DevicePolicy=closed
DeviceAllow=/dev/nvmap rw
DeviceAllow=char-nvhost* rw
DeviceAllow=char-drm rw
SupplementaryGroups=video render
"""
WITH_NVIDIA = "LoadState=loaded\nPrivateDevices=no\nDevicePolicy=closed\nDeviceAllow=char-nvidia* rw\n"


def check(shown: str, gpu: GpuFiles) -> CheckResult:
    return only(check_gpu_for_service(UNIT, find=lambda: gpu, run=printing(shown)))


@pytest.mark.parametrize(("gpu", "first"), [(JETSON, "/dev/nvmap"), (CARD, "/dev/nvidiactl")])
def test_unit_without_a_drop_in_opens_no_gpu(gpu: GpuFiles, first: str) -> None:
    result = check(BARE, gpu)
    assert result.level is Level.WARNING
    assert f"the unit does not let the service open {first} and 1 more" in result.text
    assert f"/usr/share/doc/inspectd/drop-ins/{gpu.drop_in}.conf" in str(result.fix)
    assert "/etc/systemd/system/inspectd@line1.service.d" in str(result.fix)


@pytest.mark.parametrize(("shown", "gpu"), [(WITH_JETSON, JETSON), (WITH_NVIDIA, CARD)])
def test_unit_with_its_drop_in_opens_the_gpu(shown: str, gpu: GpuFiles) -> None:
    assert check(shown, gpu).level is Level.OK


def test_drop_in_for_another_gpu_is_not_enough() -> None:
    assert "drop-ins/nvidia.conf" in str(check(WITH_JETSON, CARD).fix)
    assert "drop-ins/jetson.conf" in str(check(WITH_NVIDIA, JETSON).fix)


def test_service_outside_the_group_of_a_device_is_a_warning() -> None:
    result = check(WITH_JETSON.replace("video render", "render"), JETSON)
    assert "/dev/nvmap and 1 more: video" in result.text
    assert "SupplementaryGroups=video" in str(result.fix)


def test_unit_that_systemd_does_not_know_is_left_to_another_check() -> None:
    assert list(check_gpu_for_service(UNIT, find=lambda: CARD, run=printing("LoadState=not-found\n"))) == []


def test_machine_without_a_gpu_is_ok() -> None:
    assert only(check_gpu_for_user(lambda: None)).level is Level.OK
    assert only(check_gpu_for_service(UNIT, find=lambda: None, run=printing(BARE))).level is Level.OK


def test_gpu_that_this_user_may_open_is_ok(tmp_path: Path) -> None:
    (tmp_path / "nvidiactl").touch()
    gpu = GpuFiles("nvidia", (GpuFile(str(tmp_path / "nvidiactl"), "nvidia", None),))
    assert "this user may open" in only(check_gpu_for_user(lambda: gpu)).text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_gpu_that_this_user_may_not_open_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "nvidiactl").touch(mode=0)
    gpu = GpuFiles("nvidia", (GpuFile(str(tmp_path / "nvidiactl"), "nvidia", None),))
    assert "video,render" in str(only(check_gpu_for_user(lambda: gpu)).fix)
