"""Settings, certificate and start of the OPC UA server: one clear line for what is wrong."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.doctor.check_result import Level
from agent.doctor.opcua import check_opcua
from agent.settings import load_settings
from tests.support.agent_settings import settings_text
from tests.support.agents import GOOD_PARTS, inspectd
from tests.support.broker import free_port
from tests.support.opcua import opcua_section

pytest.importorskip("asyncua", reason="the extra opcua is not installed")
from agent.opcua import certificate, server


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "inspectd.toml"
    path.write_text(settings_text(tmp_path / "none.bundle", GOOD_PARTS) + opcua_section(tmp_path, free_port()))
    return path


def findings(config: Path) -> list[str]:
    return [result.text for result in check_opcua(load_settings(config), config) if result.level is not Level.OK]


def test_a_section_without_key_is_rejected(config: Path) -> None:
    config.write_text("\n".join(line for line in config.read_text().splitlines() if "key_file" not in line))
    with pytest.raises(Permanent, match="got no key_file"):
        load_settings(config)


def test_the_server_says_what_is_missing(config: Path, tmp_path: Path) -> None:
    for wanted, step in (
        ("server.pem: No such file", None),
        ("trusted: No such file", lambda: inspectd("opcua", "certificate", "-c", config)),
        ("bad.der is no certificate", lambda: _write(tmp_path / "trusted" / "bad.der", b"x")),
    ):
        if step is not None:
            step()
        run = inspectd("opcua", "-c", config)
        assert run.returncode == 1
        assert wanted in run.stderr
        assert len(run.stderr.splitlines()) == 1, run.stderr


def test_the_key_is_for_its_owner_only_and_nothing_is_replaced(config: Path, tmp_path: Path) -> None:
    assert inspectd("opcua", "certificate", "--host", "line1.plant", "--host", "::1", "-c", config).returncode == 0
    assert stat.S_IMODE((tmp_path / "server.key").stat().st_mode) == 0o600
    before = (tmp_path / "server.pem").read_bytes()
    run = inspectd("opcua", "certificate", "-c", config)
    assert (run.returncode, "exists already" in run.stderr) == (1, True)
    assert (tmp_path / "server.pem").read_bytes() == before


def test_a_certificate_that_has_expired_is_reported(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server serves: some clients connect all the same."""
    (tmp_path / "trusted").mkdir()
    monkeypatch.setattr(certificate, "VALID_YEARS", 0)
    certificate.make_certificate(tmp_path / "server.pem", tmp_path / "server.key", site="plant", hosts=[])
    (tmp_path / "trusted" / "client.pem").write_bytes((tmp_path / "server.pem").read_bytes())
    (found,) = findings(config)
    assert re.fullmatch(r".*server\.pem has expired on \d{4}-\d\d-\d\d", found)
    assert server.out_of_date(server.read_certificate(tmp_path / "server.pem")) in found


def test_doctor_reports_each_fault_until_there_is_none(config: Path, tmp_path: Path) -> None:
    (tmp_path / "trusted").mkdir()
    assert any("server.pem does not exist" in text for text in findings(config))
    inspectd("opcua", "certificate", "-c", config)
    assert findings(config) == [f"{tmp_path}/trusted has no certificate: no client may connect"]
    (tmp_path / "trusted" / "client.pem").write_bytes((tmp_path / "server.pem").read_bytes())
    assert findings(config) == []
    (tmp_path / "server.key").write_text("x")
    assert any("no key without a password" in text for text in findings(config))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
