"""The page for people at the line: serve it, and its accounts."""

from __future__ import annotations

import getpass
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import ConfigOption
from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.core.errors import Permanent

if TYPE_CHECKING:
    from agent.page.options import PageOptions
    from agent.page.security.accounts import Accounts

NameArgument = Annotated[str, typer.Argument(help="Name of the person.", metavar="NAME")]


def page(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings file, TOML, with a section for the page.")
    ] = None,
) -> None:
    """Serve the page for people at the line: watch, judge alarms, calibrate. A process beside the agent."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise typer.BadParameter("missing; wanted the settings file of the agent", param_hint="--config")
    _require_extra()
    options = page_options(config)
    if options.port is None and options.socket is None:
        raise Permanent(f"{config}: the page is off; wanted port or socket in the section [page]")
    # A process that has read the settings is 100 MB larger than the page needs to be.
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "agent.page", options.to_json()])


def add_user(
    name: NameArgument,
    config: ConfigOption,
    role: Annotated[str, typer.Option(help="view, operate or engineer.")] = "view",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, for programs.")
    ] = False,
) -> None:
    """Add an account for the page, or give an existing one another role or password."""
    _require_extra()
    with quiet_while_loading():
        from agent.page.security.accounts import check_name
        from agent.page.security.roles import Role

    wanted = Role.parse(role)
    check_name(name)
    accounts = _accounts(config)
    accounts.set(name, wanted, sys.stdin.readline().rstrip("\n") if password_stdin else _new_password())
    print_line(f"{name}: {wanted.text}, in {accounts.path}")
    _print_restart(config)


def list_users(config: ConfigOption) -> None:
    """List the accounts of the page with their roles."""
    _require_extra()
    found = _accounts(config).all()
    for account in found.values():
        print_line(f"{account.role.text:<10}{account.name}")
    if not found:
        print_line("no accounts; add one: inspectd page user add NAME --role engineer")


def remove_user(name: NameArgument, config: ConfigOption) -> None:
    """Remove an account of the page; the person is logged out."""
    _require_extra()
    _accounts(config).remove(name)
    print_line(f"{name}: removed")
    _print_restart(config)


def page_options(config: Path) -> PageOptions:
    """The options of the page from the settings of its agent. Raises Permanent for broken settings."""
    with quiet_while_loading():
        from agent.page.options import PageOptions
        from agent.settings import load_settings

    settings = load_settings(config)
    section = settings.page
    return PageOptions(
        site=settings.site,
        control_socket=str(settings.socket_path.absolute()),
        accounts_file=str(section.accounts_file or _default_accounts(config, settings.state_directory)),
        host=section.host,
        port=section.port,
        socket=_text(section.socket),
        certificate_file=_text(section.certificate_file),
        key_file=_text(section.key_file),
        names=section.names,
        idle_seconds=section.idle_minutes * 60.0,
        session_seconds=section.session_hours * 3600.0,
        view_without_login=section.view_without_login,
        log_level=settings.log.level,
    )


def _default_accounts(config: Path, state_directory: Path) -> Path:
    """The file of the accounts; for a service, a credential, since its user cannot read files of root."""
    with quiet_while_loading():
        from agent.settings import SERVICE_SETTINGS

    if config.absolute().parent == SERVICE_SETTINGS:
        return Path("/etc/credstore") / f"inspectd.{config.stem}.page-accounts"
    return state_directory / "page-accounts.json"


def _accounts(config: Path) -> Accounts:
    with quiet_while_loading():
        from agent.page.security.accounts import Accounts

    return Accounts(Path(page_options(config).accounts_file))


def _new_password() -> str:
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise Permanent("the two passwords differ; nothing was changed")
    return first


def _print_restart(config: Path) -> None:
    with quiet_while_loading():
        from agent.settings import SERVICE_SETTINGS

    if config.absolute().parent == SERVICE_SETTINGS:
        print_line(f"takes effect after: systemctl restart inspectd-page@{config.stem}")


def _require_extra() -> None:
    missing = [name for name in ("starlette", "uvicorn", "argon2") if importlib.util.find_spec(name) is None]
    if missing:
        raise Permanent(f"the page needs {', '.join(missing)}; install them: pip install 'inspectd[page]'")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
