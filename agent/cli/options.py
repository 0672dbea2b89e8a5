"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.terminal.interrupts import quiet_while_loading
from engines.backends import engine_names

BundleArgument = Annotated[Path, typer.Argument(help="Model bundle.")]
CameraArgument = Annotated[str | None, typer.Argument(help="Name of the camera; optional if there is only one.")]
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="Settings file, TOML; see inspectd.example.toml.")]
AgentConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Settings file of the agent, to find its control socket.")
]
SocketOption = Annotated[Path | None, typer.Option("--socket", help="Control socket of the agent.")]
EngineOption = Annotated[
    str, typer.Option("--engine", help=f"{', '.join(engine_names()[:-1])} or {engine_names()[-1]}.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def socket_path(socket: Path | None, config: Path | None) -> Path:
    """The agent's control socket: as given, else from its settings, else the default."""
    if socket is not None:
        return socket
    with quiet_while_loading():
        from agent.settings import default_state_directory, load_settings

    if config is not None:
        return load_settings(config).socket_path
    return default_state_directory() / "control.sock"
