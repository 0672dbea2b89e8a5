"""Who may do what: names that nobody has, and a page that nobody can log in to."""

from __future__ import annotations

import getpass

import pytest

from agent.doctor import Level
from agent.doctor.people import check_people
from agent.settings.load import load_settings
from tests.support.check_results import Configure, only


def test_nothing_is_checked_that_is_not_wanted(configure: Configure) -> None:
    config = configure()
    assert list(check_people(load_settings(config), config)) == []


@pytest.mark.parametrize(
    ("name", "level", "fix"),
    [
        (getpass.getuser(), Level.OK, None),
        ("@root", Level.OK, None),
        ("nobody-at-all", Level.WARNING, "adduser nobody-at-all, or correct the name in socket_roles"),
        ("@no-such-group", Level.WARNING, "groupadd no-such-group, or correct the name in socket_roles"),
    ],
)
def test_names_in_socket_roles_exist(configure: Configure, name: str, level: Level, fix: str | None) -> None:
    config = configure()
    settings = load_settings(config, [f'socket_roles={{"{name}"="view"}}'])
    result = only(check_people(settings, config))
    assert (result.level, result.subject, result.fix) == (level, "socket_roles", fix)


def test_page_without_accounts_is_reported(configure: Configure) -> None:
    pytest.importorskip("argon2", reason="the extra page is not installed")
    from agent.core.roles import Role
    from agent.page.security.accounts import Accounts

    config = configure()
    settings = load_settings(config, ["page.port=8470"])
    result = only(check_people(settings, config))
    assert (result.level, result.subject) == (Level.WARNING, "accounts")
    assert result.fix == f"inspectd page user add NAME --role engineer --config {config}"
    Accounts(settings.state_directory / "page-accounts.json").set("anna", Role.ENGINEER, "correct horse")
    assert only(check_people(settings, config)).level is Level.OK
