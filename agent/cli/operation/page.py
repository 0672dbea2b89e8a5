"""The page for people at the line: serve it, and its accounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.operation.accounts import (
    NameArgument,
    PasswordOption,
    add_account,
    become,
    list_accounts,
    open_accounts,
    remove_account,
    require_packages,
    server_fields,
)
from agent.cli.options import ConfigOption
from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.core.errors import Permanent

if TYPE_CHECKING:
    from agent.page.options import PageOptions
    from agent.page.security.accounts import Accounts
    from agent.settings import Settings

_ADD_USER = "inspectd page user add NAME --role engineer"


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
    become("agent.page", options)


def add_user(
    name: NameArgument,
    config: ConfigOption,
    role: Annotated[str, typer.Option(help="view, operate or engineer.")] = "view",
    password_stdin: PasswordOption = False,
) -> None:
    """Add an account for the page, or give an existing one another role or password."""
    add_account(_accounts(config), name, role, password_stdin=password_stdin)
    _print_restart(config)


def list_users(config: ConfigOption) -> None:
    """List the accounts of the page with their roles."""
    list_accounts(_accounts(config), _ADD_USER)


def remove_user(name: NameArgument, config: ConfigOption) -> None:
    """Remove an account of the page; the person is logged out."""
    remove_account(_accounts(config), name)
    _print_restart(config)


def page_options(config: Path) -> PageOptions:
    """The options of the page from the settings of its agent. Raises Permanent for broken settings."""
    with quiet_while_loading():
        from agent.core.training_folder import TrainingFolder
        from agent.page.options import PageOptions
        from agent.settings import load_settings

    settings = load_settings(config)
    return PageOptions(
        site=settings.site,
        control_socket=str(settings.socket_path.absolute()),
        accounts_file=str(accounts_path(config, settings)),
        add_user=f"{_ADD_USER} --config FILE",
        training_directory=str(TrainingFolder.of(settings.state_directory.absolute()).path),
        log_level=settings.log.level,
        **server_fields(settings.page),
    )


def accounts_path(config: Path, settings: Settings) -> Path:
    """The file of the accounts of the page."""
    with quiet_while_loading():
        from agent.settings import page_accounts_file

    return page_accounts_file(settings.page, settings.state_directory, config)


def _accounts(config: Path) -> Accounts:
    # Those of the OPC UA server are the same, also where there is no page.
    require_packages("page", "argon2")
    return open_accounts(page_options(config).accounts_file)


def _print_restart(config: Path) -> None:
    with quiet_while_loading():
        from agent.settings import SERVICE_SETTINGS

    if config.absolute().parent == SERVICE_SETTINGS:
        name = config.stem
        print_line(f"takes effect after: systemctl try-restart inspectd-page@{name} inspectd-opcua@{name}")


def _require_extra() -> None:
    require_packages("page", "starlette", "uvicorn", "argon2")
