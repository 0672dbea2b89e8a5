"""Ports on which outputs listen: free, taken by another program, on no address of this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.doctor import CheckResult, Level
from agent.doctor import outputs as outputs_module
from agent.doctor.outputs import check_outputs
from agent.settings.load import load_settings
from tests.agent.doctor.results import Configure, only
from tests.support.broker import free_port


def check(config: Path, port: int, listen: str = "127.0.0.1") -> CheckResult:
    section = f'[outputs.plc]\nkind = "modbus"\nport = {port}\nlisten = "{listen}"\nallow = ["127.0.0.1"]\n'
    config.write_text(config.read_text() + section)
    return only(check_outputs(load_settings(config)))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is installed, whatever this machine has."""
    monkeypatch.setattr(outputs_module, "missing_packages", lambda kind: None)


def test_free_port_is_ok(configure: Configure) -> None:
    port = free_port()
    result = check(configure(), port)
    assert (result.level, result.text) == (Level.OK, f"127.0.0.1 port {port} is free")


def test_port_of_another_program_is_a_problem(configure: Configure) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = check(configure(), port)
    assert (result.level, result.text) == (Level.PROBLEM, f"127.0.0.1 port {port} is used by another program")
    assert f"ss -ltnp sport = :{port}" in str(result.fix)


def test_address_of_another_machine_is_a_problem(configure: Configure) -> None:
    result = check(configure(), 5020, listen="192.0.2.99")
    assert (result.level, result.text) == (Level.PROBLEM, "192.0.2.99 is not an address of this machine")


def test_missing_extra_is_a_problem(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "modbus needs pymodbus: pip install 'inspectd[modbus]'"
    monkeypatch.setattr(outputs_module, "missing_packages", lambda kind: text)
    result = check(configure(), 5020)
    assert (result.level, result.text) == (Level.PROBLEM, "modbus needs pymodbus")
    assert result.fix == "pip install 'inspectd[modbus]'"


def test_settings_without_further_outputs_have_no_result(configure: Configure) -> None:
    assert list(check_outputs(load_settings(configure()))) == []
