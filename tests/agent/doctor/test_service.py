"""The service as the doctor sees it: what it can read, its neighbours, its secrets, and what systemd says of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.doctor import Level, credentials, unit
from agent.settings.load import load_settings
from agent.settings.settings import Settings
from tests.agent.doctor.findings import Configure, only


def service_settings(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, Path]:
    """The settings lie where those of services do."""
    monkeypatch.setattr(unit, "SERVICE_SETTINGS", tmp_path)
    config = configure()
    return load_settings(config), config


def test_settings_of_no_service_are_told_how_to_become_one(configure: Configure) -> None:
    config = configure()
    found = only(unit.check_unit(load_settings(config), config))
    assert found.level is Level.WARNING
    assert "systemctl enable --now inspectd@line1.service" in str(found.mend)


def test_what_the_service_cannot_see_is_a_problem(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest's own folder is below /tmp, which the unit hides."""
    settings, config = service_settings(configure, tmp_path, monkeypatch)
    assert {found.level for found in unit.check_sight(settings, config)} == {Level.PROBLEM}
    monkeypatch.setattr(unit, "HIDDEN", ())
    for folder in (
        config,
        *config.parents,
        settings.cameras["line1"].bundle,
        *settings.cameras["line1"].bundle.parents,
    ):
        if str(folder).startswith("/tmp/pytest"):
            folder.chmod(0o755)
    config.chmod(0o600)
    assert any("may not be read by the service" in found.text for found in unit.check_sight(settings, config))


def test_two_services_of_one_site_are_a_problem(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, config = service_settings(configure, tmp_path, monkeypatch)
    assert list(unit.check_neighbours(settings, config)) == []
    shutil.copy(config, tmp_path / "line2.toml")
    assert "line2 has the same site 'plant'" in only(unit.check_neighbours(settings, config)).text
    other = (tmp_path / "line2.toml").read_text().replace('"plant"', '"plant-line2"')
    (tmp_path / "line2.toml").write_text(other)
    assert list(unit.check_neighbours(settings, config)) == []


def test_two_services_on_one_metrics_port_are_a_problem(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, config = service_settings(configure, tmp_path, monkeypatch)
    config.write_text(config.read_text() + "[metrics]\nport = 9464\n")
    (tmp_path / "line2.toml").write_text(config.read_text().replace('"plant"', '"plant-line2"'))
    found = only(unit.check_neighbours(load_settings(config), config))
    assert "line2 has the same metrics.port 9464" in found.text
    assert "9465" in str(found.mend)


@pytest.mark.parametrize(
    ("found", "level", "mend"),
    [
        ({"LoadState": "not-found"}, Level.PROBLEM, "daemon-reload"),
        ({"LoadState": "loaded", "ActiveState": "failed", "Result": "watchdog"}, Level.PROBLEM, "journalctl"),
        ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "disabled"}, Level.WARNING, "enable"),
        ({"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "enabled"}, Level.WARNING, "start"),
        ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}, Level.OK, None),
    ],
)
def test_the_unit_is_judged_by_what_systemd_says(found: dict[str, str], level: Level, mend: str | None) -> None:
    judged = unit._unit("inspectd@line1.service", found)
    assert judged.level is level
    assert (judged.mend is None) if mend is None else (mend in str(judged.mend))


def test_a_password_for_everybody_is_a_warning(configure: Configure, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("geheim")
    config = configure(mqtt=f'username = "inspectd"\npassword_file = "{secret}"')
    secret.chmod(0o644)
    assert only(credentials.check_credentials(load_settings(config), config)).level is Level.WARNING
    secret.chmod(0o640)
    assert only(credentials.check_credentials(load_settings(config), config)).level is Level.OK
    secret.unlink()
    assert only(credentials.check_credentials(load_settings(config), config)).level is Level.PROBLEM


def test_a_credential_is_looked_for_where_the_unit_takes_it_from(configure: Configure, tmp_path: Path) -> None:
    config = configure(mqtt='username = "inspectd"')
    missing = only(credentials.check_credentials(load_settings(config), config, (tmp_path, tmp_path)))
    assert missing.level is Level.WARNING
    assert str(tmp_path / "inspectd.line1.mqtt-password") in missing.text
    (tmp_path / "inspectd.line1.mqtt-password").write_text("geheim")
    (tmp_path / "inspectd.line1.mqtt-password").chmod(0o600)
    assert only(credentials.check_credentials(load_settings(config), config, (tmp_path, tmp_path))).level is Level.OK
