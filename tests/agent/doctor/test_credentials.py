"""Passwords that are missing, or that every user can read."""

from __future__ import annotations

from pathlib import Path

from agent.doctor import Level
from agent.doctor.credentials import check_credentials
from agent.settings.load import load_settings
from tests.support.check_results import Configure, only


def test_password_file_must_exist_and_be_secret(configure: Configure, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("secret1")
    config = configure(mqtt=f'username = "inspectd"\npassword_file = "{secret}"')
    secret.chmod(0o644)
    assert only(check_credentials(load_settings(config), config)).level is Level.WARNING
    secret.chmod(0o640)
    assert only(check_credentials(load_settings(config), config)).level is Level.OK
    secret.unlink()
    assert only(check_credentials(load_settings(config), config)).level is Level.PROBLEM


def test_credential_must_exist_in_the_store_and_be_secret(configure: Configure, tmp_path: Path) -> None:
    config = configure(mqtt='username = "inspectd"')
    stores = (tmp_path, tmp_path)
    missing = only(check_credentials(load_settings(config), config, stores))
    assert missing.level is Level.WARNING
    assert str(tmp_path / "inspectd.line1.mqtt-password") in missing.text
    password = tmp_path / "inspectd.line1.mqtt-password"
    password.write_text("secret1")
    password.chmod(0o640)
    readable = only(check_credentials(load_settings(config), config, stores))
    assert readable.level is Level.WARNING
    assert readable.fix == f"sudo chmod 600 {password}"
    password.chmod(0o600)
    assert only(check_credentials(load_settings(config), config, stores)).level is Level.OK
