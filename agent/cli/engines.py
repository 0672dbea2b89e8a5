"""`inspectd engine …`: build an engine on this device, hold two beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.console import progress_bar, say, say_json

engine_app = typer.Typer(help="The engines that run a model.", no_args_is_help=True)

BundlePath = Annotated[Path, typer.Argument(help="A model bundle.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings of the agent that it is for; its state directory counts."),
]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output.")]


@engine_app.command()
def build(
    bundle: BundlePath,
    engine: Annotated[str, typer.Option("--engine", help="tensorrt; the others need no building.")] = "tensorrt",
    config: Config = None,
    json_document: Json = False,
) -> None:
    """Build an engine on this very device, and check it against the bundle's reference. Minutes on a Jetson."""
    from agent.engine_check import check_engine

    with progress_bar("build") as report:
        result = check_engine(bundle, engine, _state_directory(config), progress=report)
    if json_document:
        say_json(result.document())
    else:
        say(str(result))


@engine_app.command()
def compare(
    bundle: BundlePath,
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of pictures; the bundle's reference if not given.")
    ] = None,
    a: Annotated[str, typer.Option("--a", help="An engine.")] = "onnxruntime",
    b: Annotated[str, typer.Option("--b", help="The other one.")] = "tensorrt",
    threshold: Annotated[
        float | None, typer.Option(help="Say also which pictures would be judged differently at this score.")
    ] = None,
    config: Config = None,
    json_document: Json = False,
) -> None:
    """Two engines side by side: scores, heatmaps and time on the same pictures."""
    from agent.engine_check import compare_engines

    with progress_bar("compare") as report:
        result = compare_engines(
            bundle, (a, b), _state_directory(config), folder=folder, threshold=threshold, progress=report
        )
    if json_document:
        say_json(result.document())
        return
    for line in result.lines():
        say(line)


def _state_directory(config: Path | None) -> Path:
    from agent.places import default_state_directory
    from agent.settings import load

    return default_state_directory() if config is None else load(config).state_directory
