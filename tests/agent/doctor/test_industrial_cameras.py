"""The library, the cameras that it finds, and the network to them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent.doctor import CheckResult, Level
from agent.doctor.camera import check_cameras
from agent.doctor.industrial_cameras import check_industrial_cameras, interface_to
from agent.settings.load import load_settings
from tests.support.check_results import Configure, only
from tests.support.genicam_cameras import SERIAL, alone_on_the_port, arv_camera, viky_producer, viva_camera

BY_SERIAL = f'{{ kind = "genicam", camera = "{SERIAL}" }}'


def check(config: Path, **options: object) -> list[CheckResult]:
    return list(check_industrial_cameras(load_settings(config), **options))  # type: ignore[arg-type]


def test_nothing_is_checked_without_such_a_camera(configure: Configure) -> None:
    assert check(configure(source='{ kind = "simulator" }')) == []


def test_camera_buffer_and_packets_are_reported(configure: Configure, tmp_path: Path) -> None:
    buffer = tmp_path / "rmem_max"
    buffer.write_text("33554432\n")
    with arv_camera():
        found, room, packets = check(configure(source=BY_SERIAL), socket_buffer=buffer)
    assert found.level is room.level is packets.level is Level.OK
    assert found.text.startswith(f"1 found; Aravis Fake, serial {SERIAL}")
    assert room.text == "socket buffers of up to 33554432 bytes"
    assert packets.text == "127.0.0.1 is reached by lo with packets of up to 65536 bytes"


def test_small_buffer_and_small_packets_are_warnings_with_their_commands(configure: Configure, tmp_path: Path) -> None:
    buffer = tmp_path / "rmem_max"
    buffer.write_text("212992\n")
    config = configure(source='{ kind = "genicam", camera = "192.0.2.20" }')
    _, room, packets = check(config, socket_buffer=buffer, mtu_to=lambda address: ("eth1", 1500))
    assert room.level is packets.level is Level.WARNING
    assert "net.core.rmem_max=8388608" in str(room.fix)
    assert "192.0.2.20 is reached by eth1 with packets of up to 1500 bytes, wanted 9000" in packets.text
    assert str(packets.fix).startswith("sudo ip link set dev eth1 mtu 9000")


def test_interface_of_loopback_is_found_and_none_for_an_address_without_a_route() -> None:
    name, mtu = interface_to("127.0.0.1") or ("", 0)
    assert (name, mtu) == ("lo", int(Path("/sys/class/net/lo/mtu").read_text()))
    assert interface_to("not an address") is None


@pytest.mark.parametrize("trigger", ["off", "software"])
def test_camera_is_read_with_and_without_a_software_trigger(configure: Configure, trigger: str) -> None:
    source = f'{{ kind = "genicam", camera = "127.0.0.1", trigger = "{trigger}", read_timeout_seconds = 8.0 }}'
    config = configure(source=f"{source}\nparts = {{ trigger = true }}")
    with alone_on_the_port(), viva_camera(width=64, height=64):
        result = only(check_cameras(load_settings(config), max_seconds=0.2))
    assert result.level is Level.OK
    assert result.text.startswith("64×64 gray, 8 bit")


def test_camera_that_is_not_there_is_a_problem_with_the_command_that_looks_for_it(configure: Configure) -> None:
    with alone_on_the_port():
        result = only(check_cameras(load_settings(configure(source=BY_SERIAL)), max_seconds=0.2))
    assert result.level is Level.PROBLEM
    assert result.text == f"camera {SERIAL} was not found: none"
    assert "arv-tool-0.8" in str(result.fix)


def test_cameras_of_a_producer_are_listed_and_one_is_read(configure: Configure) -> None:
    producer = viky_producer()
    config = configure(source=f'{{ kind = "genicam", producer = "{producer}", camera = "2" }}')
    found = only(check(config))
    assert found.level is Level.OK
    assert found.text.startswith("viky.cti finds 3; Machine Vision Games Ltd. Viky, serial 0, VikyTL_DEV_red; ")
    result = only(check_cameras(load_settings(config), max_seconds=0.2))
    assert result.text.startswith("400×400 colour, 8 bit")


def test_producer_that_cannot_be_loaded_is_a_problem(configure: Configure, tmp_path: Path) -> None:
    pytest.importorskip("genicam.genapi", reason="a producer needs the extra genicam", exc_type=ImportError)
    producer = tmp_path / "vendor.cti"
    config = configure(source=f'{{ kind = "genicam", producer = "{producer}", camera = "2" }}')
    found = only(check(config))
    assert found.level is Level.PROBLEM
    assert found.text.startswith(f"producer {producer} cannot be loaded: ")
    assert found.fix == f"ls -l {producer}; ldd {producer}"


def test_missing_extra_is_a_problem_with_its_command(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genicam.genapi", None)
    found = only(check(configure(source='{ kind = "genicam", producer = "/opt/vendor.cti", camera = "2" }')))
    assert found.level is Level.PROBLEM
    assert found.text.startswith("a producer needs the extra genicam")
    assert found.fix == "pip install 'inspectd[genicam]'"


def test_missing_library_of_python_is_a_problem_with_its_package(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a Debian without the package: the real import, of a module that raises what the real one raises there."""
    (tmp_path / "genicam").mkdir()
    (tmp_path / "genicam/__init__.py").touch()
    missing = "libpython3.11.so.1.0: cannot open shared object file: No such file or directory"
    (tmp_path / "genicam/genapi.py").write_text(f"raise ImportError({missing!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "genicam"]:
        monkeypatch.delitem(sys.modules, name)
    found = only(check(configure(source='{ kind = "genicam", producer = "/opt/vendor.cti", camera = "2" }')))
    assert found.text.startswith(f"the extra genicam cannot be loaded ({missing})")
    assert found.fix == "sudo apt install libpython3.11"
