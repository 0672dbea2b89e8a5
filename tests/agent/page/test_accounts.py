"""Accounts: one file for its owner only, hashed passwords, roles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("argon2", reason="the extra page is not installed")

from agent.core.errors import Permanent
from agent.core.roles import Role
from agent.page.security.accounts import Accounts


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    found = Accounts(tmp_path / "page-accounts.json")
    found.set("Anna Müller", Role.ENGINEER, "correct horse")
    return found


def test_file_is_for_its_owner_and_has_no_password(accounts: Accounts) -> None:
    assert accounts.path.stat().st_mode & 0o777 == 0o600
    text = accounts.path.read_text()
    assert "correct horse" not in text
    assert "$argon2id$" in text


def test_right_password_opens_and_wrong_or_unknown_does_not(accounts: Accounts) -> None:
    account = accounts.check("Anna Müller", "correct horse")
    assert account is not None
    assert account.role is Role.ENGINEER
    assert accounts.check("Anna Müller", "correct hors") is None
    assert accounts.check("nobody", "correct horse") is None


def test_change_of_another_process_is_seen_without_a_restart(accounts: Accounts) -> None:
    assert list(accounts.all()) == ["Anna Müller"]
    Accounts(accounts.path).set("김민수", Role.VIEW, "other password")
    assert accounts.all()["김민수"].role is Role.VIEW
    Accounts(accounts.path).remove("Anna Müller")
    assert list(accounts.all()) == ["김민수"]


@pytest.mark.parametrize("name", ["", " anna", "a" * 41, "a\nb", "../anna", "anna;", "\x1b[2J"])
def test_name_that_a_log_line_could_not_show_is_rejected(accounts: Accounts, name: str) -> None:
    with pytest.raises(Permanent, match=r"name: got .*wanted up to 40 letters"):
        accounts.set(name, Role.VIEW, "long enough")


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_password_of_a_wrong_length_is_rejected(accounts: Accounts, password: str) -> None:
    with pytest.raises(Permanent, match=r"password: got \d+ characters, wanted 8 to 256"):
        accounts.set("otto", Role.VIEW, password)


def test_file_that_others_may_read_is_rejected(accounts: Accounts) -> None:
    accounts.path.chmod(0o640)
    with pytest.raises(Permanent, match="others may read it; wanted mode 0600"):
        Accounts(accounts.path).all()


@pytest.mark.parametrize("text", ["", "[]", '{"accounts": []}', '{"accounts": {"anna": {"role": "view"}}}', "\x00"])
def test_broken_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "accounts"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Permanent, match="not a file of accounts"):
        Accounts(path).all()


def test_removing_an_unknown_account_names_those_that_exist(accounts: Accounts) -> None:
    with pytest.raises(Permanent, match="no account 'otto'; wanted one of Anna Müller"):
        accounts.remove("otto")


def test_unknown_role_in_the_file_is_rejected(accounts: Accounts) -> None:
    document = json.loads(accounts.path.read_text())
    document["accounts"]["Anna Müller"]["role"] = "root"
    accounts.path.write_text(json.dumps(document))
    with pytest.raises(Permanent, match="wanted one of view, operate, engineer"):
        accounts.all()
