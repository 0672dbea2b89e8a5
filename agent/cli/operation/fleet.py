"""The page for many agents: serve it, check what it needs, and its accounts."""

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
    path_text,
    remove_account,
    require_packages,
    server_fields,
)
from agent.cli.operation.device import report_checks
from agent.cli.options import JsonOption
from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import quiet_while_loading

if TYPE_CHECKING:
    from agent.fleet.options import FleetOptions
    from agent.page.security.accounts import Accounts

_ADD_USER = "inspectd fleet user add NAME"

FleetConfig = Annotated[Path, typer.Option("--config", "-c", help="Settings file of the page for many agents, TOML.")]


def fleet(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings file of this page, TOML; see fleet.example.toml.")
    ] = None,
) -> None:
    """Serve a page with all agents of a broker: which cameras inspect, which do not, and why."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise typer.BadParameter("missing; wanted the settings file of this page", param_hint="--config")
    _require_extra()
    become("agent.fleet", fleet_options(config))


def fleet_options(config: Path) -> FleetOptions:
    """The options of the page from its settings. Raises Permanent for broken settings."""
    with quiet_while_loading():
        from agent.fleet.options import FleetOptions
        from agent.settings import accounts_file, load_fleet_settings

        settings = load_fleet_settings(config)
    mqtt = settings.mqtt
    return FleetOptions(
        site=settings.title,
        accounts_file=str(accounts_file(settings, config)),
        add_user=f"{_ADD_USER} --config FILE",
        log_level=settings.log.level,
        url=mqtt.url,
        username=mqtt.username,
        password_file=path_text(mqtt.password_file),
        ca_file=path_text(mqtt.ca_file),
        broker_certificate_file=path_text(mqtt.certificate_file),
        broker_key_file=path_text(mqtt.key_file),
        client_id=settings.client_id,
        topic_template=mqtt.agents,
        camera_topic_template=mqtt.camera_topic_template,
        max_cameras=settings.max_cameras,
        database=settings.history.address,
        days=settings.history.days,
        max_alarms=settings.history.max_alarms,
        **server_fields(settings.page),
    )


def doctor(config: FleetConfig, json_document: JsonOption = False) -> None:
    """Find out what this page lacks; print the command that fixes it. Exit code 1 if there is a problem."""
    _require_extra()
    with quiet_while_loading():
        from agent.doctor.fleet import examine_fleet

    report_checks(examine_fleet(config), json_document)


def add_user(
    name: NameArgument,
    config: FleetConfig,
    role: Annotated[
        str, typer.Option(help="view, operate or engineer; an engineer also sees who has logged in.")
    ] = "view",
    password_stdin: PasswordOption = False,
) -> None:
    """Add an account for this page, or give an existing one another role or password."""
    add_account(_accounts(config), name, role, password_stdin=password_stdin)
    _print_restart(config)


def list_users(config: FleetConfig) -> None:
    """List the accounts of this page with their roles."""
    list_accounts(_accounts(config), _ADD_USER)


def remove_user(name: NameArgument, config: FleetConfig) -> None:
    """Remove an account of this page; the person is logged out."""
    remove_account(_accounts(config), name)
    _print_restart(config)


def _accounts(config: Path) -> Accounts:
    _require_extra()
    with quiet_while_loading():
        from agent.settings import accounts_file, load_fleet_settings

        settings = load_fleet_settings(config)
    return open_accounts(str(accounts_file(settings, config)))


def _print_restart(config: Path) -> None:
    with quiet_while_loading():
        from agent.settings import FLEET_SERVICE_SETTINGS

    if config.absolute().parent == FLEET_SERVICE_SETTINGS:
        print_line("takes effect after: systemctl restart inspectd-fleet")


def _require_extra() -> None:
    require_packages("fleet", "starlette", "uvicorn", "argon2", "sqlalchemy")
