"""Hosts, devices and groups that a unit allows or denies, in the words of `systemctl show`."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agent.doctor import CheckResult, Level
from agent.doctor.service.rights import check_rights
from agent.settings.load import load_settings
from tests.support.check_results import Configure, only, printing

UNIT = "inspectd@line1.service"
SHOWN = """\
LoadState=loaded
NeedDaemonReload=no
IPAddressAllow=127.0.0.0/8 ::1/128{allowed}
IPAddressDeny=0.0.0.0/0 ::/0
PrivateDevices={private}
{devices}
"""


def check(
    config: Path, *, allowed: str = "", private: str = "yes", devices: str = "", **network: Any
) -> list[CheckResult]:
    """What the doctor reports where systemd shows these properties of the unit."""
    shown = SHOWN.format(allowed=allowed, private=private, devices=devices)
    return list(check_rights(load_settings(config), UNIT, run=printing(shown), **network))


def test_broker_that_the_unit_denies_is_a_problem(configure: Configure) -> None:
    config = configure(url="mqtt://192.0.2.10:1883")
    result = only(check(config))
    assert result.level is Level.PROBLEM
    assert "does not let the service reach 192.0.2.10 (broker)" in result.text
    assert "IPAddressAllow=192.0.2.10" in str(result.fix)
    assert "/etc/systemd/system/inspectd@line1.service.d/network.conf" in str(result.fix)
    assert only(check(config, allowed=" 192.0.2.0/24")).level is Level.OK


def test_network_camera_that_the_unit_denies_is_a_problem(configure: Configure) -> None:
    config = configure(source='{ kind = "camera", url = "rtsp://admin:secret1@192.0.2.20/line" }')
    result = only(check(config))
    assert "does not let the service reach 192.0.2.20 (camera line1)" in result.text
    assert only(check(config, allowed=" 192.0.2.20/32")).level is Level.OK


def test_industrial_camera_needs_its_drop_in_and_the_broadcast_address(configure: Configure) -> None:
    families = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"
    config = configure(source='{ kind = "genicam", camera = "GV01" }')
    reach, netlink = check(config, devices=families)
    assert "does not let the service reach 255.255.255.255 (camera line1)" in reach.text
    assert "does not let the service use AF_NETLINK (camera line1)" in netlink.text
    assert "drop-ins/genicam.conf" in str(netlink.fix)
    assert only(check(config, allowed=" 255.255.255.255/32", devices=f"{families} AF_NETLINK")).level is Level.OK


def test_name_needs_a_name_server(configure: Configure) -> None:
    network = {"resolve": lambda host: [ip_address("192.0.2.10")], "servers": lambda: [ip_address("192.0.2.53")]}
    config = configure(url="mqtt://broker.plant:1883")
    result = only(check(config, allowed=" 192.0.2.10/32", **network))
    assert "name server, and broker.plant is a name" in result.text
    assert only(check(config, allowed=" 192.0.2.10/32 192.0.2.53/32", **network)).level is Level.OK


@pytest.mark.parametrize(
    ("device", "path"),
    [('"/dev/video0"', "/dev/video0"), ("1", "/dev/video1"), ('"/dev/v4l/by-id/x"', "/dev/v4l/by-id/x")],
)
def test_video_device_that_the_unit_denies_is_a_problem(configure: Configure, device: str, path: str) -> None:
    config = configure(source=f'{{ kind = "camera", device = {device} }}')
    result = only(check(config))
    assert f"does not let the service open {path} (camera line1)" in result.text
    assert "drop-ins/camera.conf" in str(result.fix)
    devices = "DeviceAllow=char-nvmap rw\nDeviceAllow=char-video4linux rw"
    assert only(check(config, private="no", devices=devices)).level is Level.OK


def test_group_that_does_not_exist_is_a_problem(configure: Configure) -> None:
    """A unit that names one does not start."""
    result = only(check(configure(), devices="SupplementaryGroups=root inspectd-none"))
    assert result.level is Level.PROBLEM
    assert "the group inspectd-none, which does not exist" in result.text
    assert result.fix == "sudo groupadd --system inspectd-none"


def test_drop_in_that_systemd_has_not_read_is_a_problem(configure: Configure) -> None:
    shown = printing("LoadState=loaded\nNeedDaemonReload=yes\n")
    result = only(check_rights(load_settings(configure()), UNIT, run=shown))
    assert "systemctl daemon-reload" in str(result.fix)


@pytest.mark.parametrize("shown", ["LoadState=not-found\n", None])
def test_unit_that_systemd_does_not_know_is_left_to_another_check(configure: Configure, shown: str | None) -> None:
    assert list(check_rights(load_settings(configure()), UNIT, run=printing(shown))) == []


PLC = '[outputs.plc]\nkind = "modbus"\nport = {port}\nlisten = "0.0.0.0"\nallow = ["192.0.2.32/28"]\n'


def test_plc_that_the_unit_keeps_out_is_a_problem(configure: Configure) -> None:
    config = configure()
    config.write_text(config.read_text() + PLC.format(port=5020))
    result = only(check(config))
    assert result.level is Level.PROBLEM
    assert "keeps 192.0.2.32/28 from reaching the service (output plc)" in result.text
    assert "IPAddressAllow=192.0.2.32/28" in str(result.fix)
    assert only(check(config, allowed=" 192.0.2.0/24")).level is Level.OK


def test_port_below_1024_needs_a_drop_in(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.doctor.service.rights.first_free_port", lambda: 1024)
    config = configure()
    config.write_text(config.read_text() + PLC.format(port=502))
    result = only(check(config, allowed=" 192.0.2.0/24"))
    assert "does not let the service open port 502 (output plc)" in result.text
    assert "drop-ins/modbus-502.conf" in str(result.fix)
    rights = "AmbientCapabilities=cap_net_bind_service\nPrivateUsers="
    assert only(check(config, allowed=" 192.0.2.0/24", devices=f"{rights}yes")).level is Level.PROBLEM
    assert only(check(config, allowed=" 192.0.2.0/24", devices=f"{rights}no")).level is Level.OK
