"""The engines on this device: build one, compare two, measure speed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import BundleArgument, EngineOption, JsonOption
from agent.cli.terminal.console import print_json, print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.cli.terminal.progress import progress_bar

if TYPE_CHECKING:
    from engines.bundles import Bundle

EngineConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Settings file of the agent that uses it, for its state directory and thresholds."
    ),
]


def build(
    bundle: BundleArgument,
    engine: Annotated[str, typer.Option("--engine", help="tensorrt; the others need no building.")] = "tensorrt",
    config: EngineConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Build an engine on this device and check it against the bundle's reference. Takes minutes on a Jetson."""
    with quiet_while_loading():
        from agent.tools.engine_check import check_engine

    opened, directory, thresholds = _of_agent(bundle, config)
    with progress_bar("build") as report:
        result = check_engine(opened, engine, directory, thresholds=thresholds, progress=report)
    if json_document:
        print_json(result.document())
    else:
        print_line(str(result))


def compare_engines(
    bundle: BundleArgument,
    folder: Annotated[Path | None, typer.Argument(help="Folder of images; the bundle's reference by default.")] = None,
    a: Annotated[str, typer.Option("--a", help="First engine.")] = "onnxruntime",
    b: Annotated[str, typer.Option("--b", help="Second engine.")] = "tensorrt",
    threshold: Annotated[
        float | None, typer.Option(help="List images that they judge differently at this score; default: active ones.")
    ] = None,
    config: EngineConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Compare two engines on the same images: scores, heatmaps and time."""
    with quiet_while_loading():
        from agent.tools.engine_check import compare_answers

    opened, directory, active = _of_agent(bundle, config)
    thresholds = active if threshold is None else (threshold,)
    with progress_bar("compare") as report:
        result = compare_answers(opened, (a, b), directory, folder=folder, thresholds=thresholds, progress=report)
    if json_document:
        print_json(result.document())
        return
    for line in result.lines():
        print_line(line)


def bench(
    bundle: BundleArgument,
    engine: EngineOption = "auto",
    seconds: Annotated[
        float, typer.Option(min=1.0, max=3600.0, help="Time for the engine, and again for the loop.")
    ] = 10.0,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Settings file of an agent: its `auto` then takes the fastest engine."),
    ] = None,
    json_document: JsonOption = False,
) -> None:
    """Measure the engine alone and the whole loop on the same frames; with auto, find the fastest engine."""
    with quiet_while_loading():
        from agent.settings import load_settings
        from agent.tools.bench import fastest_engine, run_bench

    # Before anything is measured: a mistake in the settings is reported at once.
    settings = None if config is None else load_settings(config)
    result = run_bench(bundle, engine_name=engine, seconds=seconds)
    choice = fastest_engine(bundle, settings, seconds=seconds) if engine == "auto" else None
    if json_document:
        rates = {} if choice is None else {"engines": choice.frames_per_second, "fastest": choice.engine}
        print_json({**result.document(), **rates})
        return
    print_line(str(result))
    if choice is not None:
        kept = "" if config is None else "; saved: `auto` takes it from the next start on"
        print_line(f"engines here  {choice.reason}: {choice.engine}{kept}")


def _of_agent(path: Path, config: Path | None) -> tuple[Bundle, Path, tuple[float, ...]]:
    """The bundle, and the state directory and active thresholds of the agent with these settings."""
    with quiet_while_loading():
        from agent.inspection import thresholds_in_force
        from agent.settings import default_state_directory, load_settings
        from engines.bundles import read_bundle

    bundle = read_bundle(path)
    if config is None:
        return bundle, default_state_directory(), ()
    settings = load_settings(config)
    return bundle, settings.state_directory, thresholds_in_force(settings, bundle.sha256)
