"""`inspectd engine …`: build an engine on this device, hold two beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.console import progress_bar, say, say_json

if TYPE_CHECKING:
    from engines.bundles import Bundle

engine_app = typer.Typer(help="The engines that run a model.", no_args_is_help=True)

BundlePath = Annotated[Path, typer.Argument(help="A model bundle.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Settings of the agent that it is for: its state directory and thresholds count."
    ),
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
    from agent.tools.engine_check import check_engine

    opened, directory, thresholds = _of_agent(bundle, config)
    with progress_bar("build") as report:
        result = check_engine(opened, engine, directory, thresholds=thresholds, progress=report)
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
        float | None,
        typer.Option(help="Say which pictures would be judged differently at this score, not at those in force."),
    ] = None,
    config: Config = None,
    json_document: Json = False,
) -> None:
    """Two engines side by side: scores, heatmaps and time on the same pictures."""
    from agent.tools.engine_check import compare_answers

    opened, directory, in_force = _of_agent(bundle, config)
    thresholds = in_force if threshold is None else (threshold,)
    with progress_bar("compare") as report:
        result = compare_answers(opened, (a, b), directory, folder=folder, thresholds=thresholds, progress=report)
    if json_document:
        say_json(result.document())
        return
    for line in result.lines():
        say(line)


def _of_agent(path: Path, config: Path | None) -> tuple[Bundle, Path, tuple[float, ...]]:
    """The bundle, with the state directory and the thresholds in force of the agent with these settings."""
    from agent.inspection import thresholds_in_force
    from agent.settings import default_state_directory, load_settings
    from engines.bundles import read_bundle

    bundle = read_bundle(path)
    if config is None:
        return bundle, default_state_directory(), ()
    settings = load_settings(config)
    return bundle, settings.state_directory, thresholds_in_force(settings, bundle.sha256)
