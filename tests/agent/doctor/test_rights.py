"""What the unit lets the service do, in the words of `systemctl show`."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agent.doctor import CheckResult, Level, rights
from agent.settings.load import load_settings
from tests.agent.doctor.findings import Configure, only

SHOWN = """\
LoadState=loaded
NeedDaemonReload=no
IPAddressAllow=127.0.0.0/8 ::1/128{allowed}
IPAddressDeny=0.0.0.0/0 ::/0
PrivateDevices={private}
{devices}
"""


@pytest.fixture
def shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configure: Configure
) -> Callable[..., Callable[[Path], list[CheckResult]]]:
    """What the doctor finds where systemd says this of the unit."""
    monkeypatch.setattr(rights, "SERVICE_SETTINGS", tmp_path)

    def say(text: str = SHOWN, *, allowed: str = "", private: str = "yes", devices: str = "") -> Any:
        said = text.format(allowed=allowed, private=private, devices=devices)
        monkeypatch.setattr(rights, "output", lambda *command: said)
        return lambda config: list(rights.check_rights(load_settings(config), config))

    return say


def test_a_broker_that_the_unit_keeps_the_service_from_is_a_problem(configure: Configure, shown: Any) -> None:
    config = configure(url="mqtt://192.0.2.10:1883")
    found = only(shown()(config))
    assert found.level is Level.PROBLEM
    assert "does not let the service reach 192.0.2.10 (broker)" in found.text
    assert "IPAddressAllow=192.0.2.10" in str(found.mend)
    assert "/etc/systemd/system/inspectd@line1.service.d/network.conf" in str(found.mend)
    assert only(shown(allowed=" 192.0.2.0/24")(config)).level is Level.OK


def test_a_name_needs_a_name_server(configure: Configure, shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "addresses", lambda host: [ip_address("192.0.2.10")])
    monkeypatch.setattr(rights, "name_servers", lambda: [ip_address("192.0.2.53")])
    config = configure(url="mqtt://broker.plant:1883")
    found = only(shown(allowed=" 192.0.2.10/32")(config))
    assert "name server, and broker.plant is a name" in found.text
    assert only(shown(allowed=" 192.0.2.10/32 192.0.2.53/32")(config)).level is Level.OK


def test_a_camera_that_the_unit_keeps_the_service_from_is_a_problem(configure: Configure, shown: Any) -> None:
    config = configure(source='{ kind = "camera", device = "/dev/video0" }')
    found = only(shown()(config))
    assert "does not let the service open /dev/video0 (camera line1)" in found.text
    assert "drop-ins/camera.conf" in str(found.mend)
    devices = "DeviceAllow=char-nvmap rw\nDeviceAllow=char-video4linux rw"
    assert only(shown(private="no", devices=devices)(config)).level is Level.OK


def test_a_group_that_is_not_there_is_a_problem(configure: Configure, shown: Any) -> None:
    """A unit that names one does not start."""
    found = only(shown(devices="SupplementaryGroups=root inspectd-none")(configure()))
    assert found.level is Level.PROBLEM
    assert "the group inspectd-none, which is not there" in found.text
    assert found.mend == "sudo groupadd --system inspectd-none"


def test_a_drop_in_that_systemd_has_not_read_is_a_problem(configure: Configure, shown: Any) -> None:
    found = only(shown("LoadState=loaded\nNeedDaemonReload=yes\n")(configure()))
    assert "systemctl daemon-reload" in str(found.mend)


def test_name_servers_are_those_of_resolv_conf(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("search plant\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\n")
    assert rights.name_servers(tmp_path / "resolv.conf") == (ip_address("127.0.0.53"), ip_address("fe80::1"))
    assert rights.name_servers(tmp_path / "none") == ()
