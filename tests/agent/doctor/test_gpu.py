"""Who may open a GPU's device files: whoever asks, or the service in its unit. The files are fakes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.doctor import CheckResult, Level, gpu
from agent.doctor.gpu import Device, Gpu, find_gpu
from agent.settings.load import load_settings
from tests.agent.doctor.findings import Configure, only

JETSON = Gpu("jetson", (Device("/dev/nvmap", None, "video"), Device("/dev/nvhost-gpu", "nvhost-gpu", "video")))
CARD = Gpu("nvidia", (Device("/dev/nvidiactl", "nvidia-frontend", None), Device("/dev/nvidia0", "nvidia", None)))

# `systemctl show` of the unit as it is, and with each of two drop-ins.
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

Ask = Callable[[str, Gpu], CheckResult]


@pytest.fixture
def ask(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """What is found where systemd says this of the unit, and this GPU is here."""
    config = configure()
    monkeypatch.setattr(gpu, "SERVICE_SETTINGS", tmp_path)

    def found(said: str, here: Gpu) -> CheckResult:
        monkeypatch.setattr("agent.doctor.rights.output", lambda *command: said)
        return only(gpu.check_gpu(load_settings(config), config, lambda: here))

    return found


@pytest.mark.parametrize(("here", "first"), [(JETSON, "/dev/nvmap"), (CARD, "/dev/nvidiactl")])
def test_the_unit_opens_no_gpu_until_a_drop_in_does(ask: Ask, here: Gpu, first: str) -> None:
    found = ask(BARE, here)
    assert found.level is Level.WARNING
    assert f"the unit does not let the service open {first} and 1 more" in found.text
    drop_in = f"/usr/share/doc/inspectd/drop-ins/{here.drop_in}.conf"
    assert drop_in in str(found.mend)
    assert "/etc/systemd/system/inspectd@line1.service.d" in str(found.mend)


@pytest.mark.parametrize(("said", "here"), [(WITH_JETSON, JETSON), (WITH_NVIDIA, CARD)])
def test_with_its_drop_in_the_service_may_open_it(ask: Ask, said: str, here: Gpu) -> None:
    assert ask(said, here).level is Level.OK


def test_a_drop_in_for_another_gpu_is_not_enough(ask: Ask) -> None:
    assert "drop-ins/nvidia.conf" in str(ask(WITH_JETSON, CARD).mend)
    assert "drop-ins/jetson.conf" in str(ask(WITH_NVIDIA, JETSON).mend)


def test_a_device_of_a_group_that_the_service_is_not_in_is_said(ask: Ask) -> None:
    found = ask(WITH_JETSON.replace("video render", "render"), JETSON)
    assert "/dev/nvmap and 1 more: video" in found.text
    assert "SupplementaryGroups=video" in str(found.mend)


def test_where_systemd_says_nothing_of_the_unit_another_check_does(configure: Configure, tmp_path: Path) -> None:
    config = configure()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "SERVICE_SETTINGS", tmp_path)
        patch.setattr("agent.doctor.rights.output", lambda *command: "LoadState=not-found\n")
        assert list(gpu.check_gpu(load_settings(config), config, lambda: CARD)) == []


def device_files(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch(mode=0o666)
        (directory / name).chmod(0o666)
    return directory


def found_in(directory: Path, drivers: Path) -> tuple[Device, ...]:
    found = find_gpu(directory, drivers)
    assert found is not None
    return found.devices


def test_a_jetson_is_known_by_its_memory_allocator(tmp_path: Path) -> None:
    """Devices for debuggers are not asked for: JetPack gives them to a group of their own."""
    names = ("nvmap", "nvhost-gpu", "nvhost-dbg-gpu", "nvhost-prof-gpu", "nvgpu/igpu0/ctrl", "dri/renderD128")
    found = find_gpu(device_files(tmp_path, *names, "dri/card0"))
    assert found is not None
    assert found.drop_in == "jetson"
    here = {device.path.removeprefix(f"{tmp_path}/") for device in found.devices}
    assert here == {"nvmap", "nvhost-gpu", "nvgpu/igpu0/ctrl", "dri/renderD128"}


def test_a_card_in_a_pc_is_known_by_the_files_of_its_driver(tmp_path: Path) -> None:
    """A render node alone belongs to a GPU that no engine here uses."""
    assert find_gpu(device_files(tmp_path, "dri/renderD128")) is None
    found = find_gpu(device_files(tmp_path, "nvidiactl", "nvidia0", "nvidia-uvm", "nvidia-modeset"))
    assert found is not None
    assert found.drop_in == "nvidia"
    assert [Path(device.path).name for device in found.devices] == ["nvidiactl", "nvidia0", "nvidia-uvm"]


def test_a_device_has_its_driver_and_its_group(tmp_path: Path) -> None:
    devices = device_files(tmp_path / "dev", "nvidiactl")
    (tmp_path / "devices").write_text("Character devices:\n  0 nvidia\n195 other\n\nBlock devices:\n  0 loop\n")
    (found,) = found_in(devices, tmp_path / "devices")
    assert (found.driver, found.group) == ("nvidia", None), "a plain file has the device number 0"
    (devices / "nvidiactl").chmod(0o660)
    assert found_in(devices, tmp_path / "devices")[0].group is not None


def test_without_a_service_it_is_this_user_who_is_asked_for(configure: Configure, tmp_path: Path) -> None:
    config = configure()
    devices = device_files(tmp_path / "dev", "nvidiactl", "nvidia0")
    assert "this user may open" in only(gpu.check_gpu(load_settings(config), config, lambda: find_gpu(devices))).text
    assert "none here" in only(gpu.check_gpu(load_settings(config), config, lambda: None)).text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_gpu_that_this_user_may_not_open_is_said(configure: Configure, tmp_path: Path) -> None:
    config = configure()
    devices = device_files(tmp_path / "dev", "nvidiactl")
    (devices / "nvidiactl").chmod(0)
    assert "video,render" in str(only(gpu.check_gpu(load_settings(config), config, lambda: find_gpu(devices))).mend)
