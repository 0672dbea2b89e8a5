"""`inspectd page user add --password-stdin`: what programs and people on Windows pipe into it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.page.security.accounts import Accounts
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.command_line import assert_one_line, inspectd


@pytest.mark.parametrize(
    ("piped", "password"),
    [
        (b"correct horse", "correct horse"),
        ("korrektes Pferd \u00e4\n".encode(), "korrektes Pferd \u00e4"),
        (b"\xef\xbb\xbfcorrect horse\r\n", "correct horse"),
    ],
)
def test_password_from_standard_input(tiny_bundle: Bundle, tmp_path: Path, piped: bytes, password: str) -> None:
    done = _add_user(tiny_bundle, tmp_path, piped)
    assert done.returncode == 0, done.stderr
    accounts = Accounts(next(tmp_path.rglob("page-accounts.json")))
    assert accounts.check("anna", password) is not None


def test_password_that_is_no_text_is_one_line(tiny_bundle: Bundle, tmp_path: Path) -> None:
    assert_one_line(_add_user(tiny_bundle, tmp_path, b"\xff\xfe\x00 correct horse"), "wanted UTF-8")


def _add_user(bundle: Bundle, directory: Path, piped: bytes) -> subprocess.CompletedProcess[str]:
    settings, password = directory / "line1.toml", directory / "password"
    settings.write_text(settings_text(bundle.path, 'kind = "simulator"'))
    password.write_bytes(piped)
    with password.open("rb") as stdin:
        return inspectd("page", "user", "add", "anna", "--password-stdin", "--config", settings, stdin=stdin)
