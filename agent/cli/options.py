"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output.")]
Config = Annotated[Path, typer.Option("--config", "-c", help="Settings, TOML; see inspectd.example.toml.")]
Socket = Annotated[Path | None, typer.Option("--socket", help="Control socket of the agent.")]
MaybeConfig = Annotated[Path | None, typer.Option("--config", "-c", help="Settings of the agent, to find its socket.")]
EngineName = Annotated[str, typer.Option("--engine", help="auto, onnxruntime, openvino, tensorrt or torch.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")]


def door_path(socket: Path | None, config: Path | None) -> Path:
    """Where the agent's door is: as told, as in its settings, or where it is by default."""
    from agent.settings import default_state_directory, load_settings

    if socket is not None:
        return socket
    if config is not None:
        return load_settings(config).socket_path
    return default_state_directory() / "control.sock"
