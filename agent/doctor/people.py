"""Checks who may do what: at the control socket, and on the page."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from agent.core.errors import InspectdError
from agent.doctor.check_result import CheckResult, ok, problem, warning
from agent.settings import Settings, page_accounts_file

_PACKAGES = ("starlette", "uvicorn", "argon2")


def check_people(settings: Settings, config: Path) -> Iterator[CheckResult]:
    """The names in the settings exist, and somebody can log in to the page."""
    if settings.socket_roles is not None:
        yield _check_socket_roles(settings.socket_roles)
    if settings.page.wanted:
        yield _check_page(settings, config)


def check_accounts(path: Path, add: str, *, anybody_looks: bool) -> CheckResult:
    """The accounts of a page; `add`: the command that makes one; `anybody_looks`: without an account."""
    from agent.page.security.accounts import Accounts

    try:
        found = Accounts(path).all()
    except InspectdError as error:
        return problem("accounts", str(error), add)
    if found:
        return ok("accounts", f"{path}: {len(found)} account(s)")
    if anybody_looks:
        return ok("accounts", f"{path}: none; anybody who reaches the page may look")
    return warning("accounts", f"{path}: none, so nobody can log in", add)


def _check_socket_roles(roles: Mapping[str, str]) -> CheckResult:
    unknown = [name for name in roles if not _exists(name)]
    if not unknown:
        return ok("socket_roles", ", ".join(f"{name} may {role}" for name, role in roles.items()))
    text = f"this machine knows no {', no '.join(_in_words(name) for name in unknown)}: the role is nobody's"
    return warning("socket_roles", text, _create(unknown[0]))


def _exists(name: str) -> bool:
    try:
        if name.startswith("@"):
            grp.getgrnam(name[1:])
        else:
            pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _in_words(name: str) -> str:
    return f"group {name[1:]}" if name.startswith("@") else f"user {name}"


def _create(name: str) -> str:
    command = f"groupadd {name[1:]}" if name.startswith("@") else f"adduser {name}"
    return f"{command}, or correct the name in socket_roles"


def _check_page(settings: Settings, config: Path) -> CheckResult:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        return problem("page", f"it needs {', '.join(missing)}", "pip install 'inspectd[page]'")
    path = page_accounts_file(settings.page, settings.state_directory, config)
    add = f"inspectd page user add NAME --role engineer --config {config}"
    return check_accounts(path, add, anybody_looks=settings.page.view_without_login)
