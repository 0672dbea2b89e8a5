"""The OPC UA server beside the agent: serve, and make its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.operation.accounts import become, require_packages
from agent.cli.operation.page import accounts_path
from agent.cli.options import ConfigOption
from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.core.errors import Permanent

if TYPE_CHECKING:
    from agent.opcua.options import OpcuaOptions
    from agent.settings import Settings


def opcua(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings file, TOML, with a section [opcua].")
    ] = None,
) -> None:
    """Serve OPC UA for SCADA, MES and PLCs: OPC 40100-1, machine vision. A process beside the agent."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise typer.BadParameter("missing; wanted the settings file of the agent", param_hint="--config")
    require_packages("opcua", "asyncua", "argon2")
    become("agent.opcua", opcua_options(config))


def certificate(
    config: ConfigOption,
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address under which clients reach the server; may be repeated.")
    ] = None,
) -> None:
    """Make the certificate and the key of the server, as the settings name them; clients have to trust it."""
    with quiet_while_loading():
        from agent.opcua.certificate import make_certificate

    settings = _wanted(config)
    made, key = settings.opcua.certificate_file, settings.opcua.kept_key(config)
    assert made is not None
    assert key is not None
    uri = make_certificate(made, key, site=settings.site, hosts=host or [])
    print_line(f"{made}: for clients, in their lists of trusted servers; application URI {uri}")
    print_line(f"{key}: for this server only")


def opcua_options(config: Path) -> OpcuaOptions:
    """The options of the server from the settings of its agent. Raises Permanent for broken settings."""
    with quiet_while_loading():
        from agent.opcua.options import OpcuaOptions

    settings = _wanted(config)
    section = settings.opcua
    return OpcuaOptions(
        site=settings.site,
        control_socket=str(settings.socket_path.absolute()),
        accounts_file=str(section.accounts_file or accounts_path(config, settings)),
        certificate_file=str(section.certificate_file),
        key_file=str(section.key_file),
        trusted_directory=str(section.trusted_directory),
        rejected_directory=str(section.rejected(settings.state_directory).absolute()),
        host=section.listen,
        port=section.port,
        cameras={name: tuple(camera.products) for name, camera in settings.cameras.items()},
        groups={name: _common_products(settings, group.cameras) for name, group in settings.parts.items()},
        log_level=settings.log.level,
    )


def _common_products(settings: Settings, cameras: Sequence[str]) -> tuple[str, ...]:
    """The products that all of these cameras have."""
    first, *others = (settings.cameras[camera].products for camera in cameras)
    return tuple(name for name in first if all(name in products for products in others))


def _wanted(config: Path) -> Settings:
    with quiet_while_loading():
        from agent.settings import load_settings

    settings = load_settings(config)
    if not settings.opcua.wanted:
        raise Permanent(f"{config}: no OPC UA server; wanted a section [opcua] with certificate_file")
    return settings
