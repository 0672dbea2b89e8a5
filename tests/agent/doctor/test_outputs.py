"""Ports on which outputs listen: free, taken by another program, on no address of this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.doctor import CheckResult, Level
from agent.doctor import outputs as outputs_module
from agent.doctor.credentials import check_credentials
from agent.doctor.outputs import check_outputs
from agent.settings.load import load_settings
from tests.support.broker import free_port
from tests.support.certificates import OPENSSL, Authority
from tests.support.check_results import Configure, only
from tests.support.webhook_receiver import Receiver


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


def webhook(config: Path, url: str, **files: Path) -> CheckResult:
    section = f'[outputs.mes]\nkind = "webhook"\nurl = "{url}"\n'
    config.write_text(config.read_text() + section + "".join(f'{key} = "{path}"\n' for key, path in files.items()))
    return only(check_outputs(load_settings(config)))


@pytest.mark.skipif(OPENSSL is None, reason="needs openssl")
def test_receiver_is_connected_to_and_verified(configure: Configure, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    receiver = Receiver(authority.issue("receiver"))
    receiver.start()
    try:
        result = webhook(configure(), receiver.url, ca_file=authority.certificate)
        assert (result.level, result.text) == (
            Level.OK,
            f"127.0.0.1:{receiver.port} answers and has a certificate that is trusted",
        )
        result = webhook(configure(), receiver.url)
        assert result.level is Level.PROBLEM
        assert f"the certificate of 127.0.0.1:{receiver.port} is rejected" in result.text
        assert receiver.requests == []
    finally:
        receiver.stop()


def test_receiver_that_does_not_answer_is_a_problem(configure: Configure) -> None:
    result = webhook(configure(), "https://127.0.0.1:1/secret-path")
    assert (result.level, result.text) == (Level.PROBLEM, "127.0.0.1:1 does not answer: Connection refused")
    assert "secret-path" not in str(result)


def test_secret_that_everybody_can_read_is_reported(configure: Configure, tmp_path: Path) -> None:
    secret = tmp_path / "mes-secret"
    secret.write_text("x" * 32)
    secret.chmod(0o644)
    config = configure()
    section = f'[outputs.mes]\nkind = "webhook"\nurl = "https://mes.example"\nsecret_file = "{secret}"\n'
    config.write_text(config.read_text() + section)
    (result,) = [each for each in check_credentials(load_settings(config), config) if "outputs.mes" in each.text]
    assert (result.level, result.fix) == (Level.WARNING, f"chmod o-rwx {secret}")
