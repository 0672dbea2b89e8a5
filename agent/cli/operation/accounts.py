"""What commands about pages share: the accounts of people, where a page is served, and its process."""

from __future__ import annotations

import getpass
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.core.errors import Permanent

if TYPE_CHECKING:
    from agent.page.options import ProcessOptions
    from agent.page.security.accounts import Accounts
    from agent.settings import ServerSettings

NameArgument = Annotated[str, typer.Argument(help="Name of the person.", metavar="NAME")]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, for programs.")
]


def add_account(accounts: Accounts, name: str, role: str, *, password_stdin: bool) -> None:
    """Add an account, or give an existing one another role or password; asks for the password at the terminal."""
    with quiet_while_loading():
        from agent.core.roles import Role
        from agent.page.security.accounts import check_name

    wanted = Role.parse(role)
    check_name(name)
    accounts.set(name, wanted, _piped_password() if password_stdin else _new_password())
    print_line(f"{name}: {wanted.text}, in {accounts.path}")


def list_accounts(accounts: Accounts, add_user: str) -> None:
    """Print every account with its role; `add_user` is the command that makes one."""
    found = accounts.all()
    for account in found.values():
        print_line(f"{account.role.text:<10}{account.name}")
    if not found:
        print_line(f"no accounts; add one: {add_user}")


def remove_account(accounts: Accounts, name: str) -> None:
    """Remove an account; the person is logged out."""
    accounts.remove(name)
    print_line(f"{name}: removed")


def open_accounts(path: str) -> Accounts:
    """The accounts in this file."""
    with quiet_while_loading():
        from agent.page.security.accounts import Accounts

    return Accounts(Path(path))


def server_fields(section: ServerSettings) -> dict[str, Any]:
    """The fields of `ServerOptions` that the section of a page sets."""
    return {
        "host": section.host,
        "port": section.port,
        "socket": path_text(section.socket),
        "certificate_file": path_text(section.certificate_file),
        "key_file": path_text(section.key_file),
        "names": section.names,
        "idle_seconds": section.idle_minutes * 60.0,
        "session_seconds": section.session_hours * 3600.0,
        "view_without_login": section.view_without_login,
    }


def become(module: str, options: ProcessOptions) -> NoReturn:
    """Replace this process by a server that knows only its options: `module` is run as a program."""
    with quiet_while_loading():
        from agent.page.options import VARIABLE

    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", module], {**os.environ, VARIABLE: options.to_json()})


def require_packages(extra: str, *packages: str) -> None:
    """Raise Permanent, with the command that installs them, where a package of an extra is missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise Permanent(f"this needs {', '.join(missing)}; install them: pip install 'inspectd[{extra}]'")


def _piped_password() -> str:
    """The first line of standard input."""
    try:
        return sys.stdin.buffer.readline().rstrip(b"\r\n").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Permanent("password: got bytes that are no text, wanted UTF-8") from None


def _new_password() -> str:
    if not sys.stdin.isatty():
        raise Permanent("password: no terminal to ask at; wanted one, or --password-stdin")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise Permanent("the two passwords differ; nothing was changed")
    return first


def path_text(path: Path | None) -> str | None:
    """For options, which are JSON."""
    return None if path is None else str(path)
