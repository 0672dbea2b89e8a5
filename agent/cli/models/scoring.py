"""Scores of images, and how well they separate bad parts from good ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import BundleArgument, EngineOption, JsonOption
from agent.cli.terminal.console import print_error, print_json, print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.cli.terminal.progress import progress_bar
from agent.core.errors import Permanent

if TYPE_CHECKING:
    from agent.tools.alarm_judge import AlarmJudge
    from engines.bundles import Bundle


def view(
    bundle: BundleArgument,
    image: Annotated[Path, typer.Argument(help="Image, as the source delivers it.")],
    out: Annotated[Path | None, typer.Option(help="PNG to write; beside the image by default.")] = None,
) -> None:
    """Show what a bundle inspects of an image: the source image, its crop, and the model's input as PNG."""
    with quiet_while_loading():
        from agent.tools.view_image import view_image

    for line in view_image(bundle, image, out or image.parent / f"{image.stem}-view.png"):
        print_line(line)


def score(
    bundle: BundleArgument,
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    json_lines: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each image.")] = False,
    heatmaps: Annotated[Path | None, typer.Option(help="Folder for the heatmap of each image.")] = None,
    engine: EngineOption = "auto",
) -> None:
    """Score images. The higher the score, the less an image looks like a good part."""
    with quiet_while_loading():
        from agent.tools.score_files import score_paths

    failed = without_part = 0
    for result in score_paths(bundle, paths, engine_name=engine, heatmaps=heatmaps):
        name = str(result.path).replace("\n", r"\n")
        failed += result.error is not None
        without_part += result.without_part
        if result.error is not None:
            print_error(f"{name}: {result.error}")
        elif json_lines:
            print_json(result.document())
        else:
            print_line(f"{result.score:12.6g}  {name}")
    if failed:
        parts = f", {without_part} of them because no part was found" if without_part else ""
        raise Permanent(f"{failed} of the images could not be scored{parts}")


def evaluate(
    bundle: BundleArgument,
    normal: Annotated[Path, typer.Option(help="Folder of good parts, not used for training.")],
    abnormal: Annotated[Path, typer.Option(help="Folder of bad parts.")],
    masks: Annotated[Path | None, typer.Option(help="Folder of masks of the bad parts, with the same stems.")] = None,
    trained_on: Annotated[
        Path | None, typer.Option(help="Folder that it was trained on, to warn of images of the same parts.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the charts; beside the bundle by default.")] = None,
    false_alarms: Annotated[
        str | None,
        typer.Option(help="Budget of the threshold; by default that of the settings, else 1 per 1000 parts."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings file: inspect and judge as its camera does.")
    ] = None,
    camera: Annotated[str | None, typer.Option(help="Camera of the settings, where several judge differently.")] = None,
    engine: EngineOption = "auto",
    json_document: JsonOption = False,
) -> None:
    """Measure how well a bundle separates bad parts from good ones that it has not been trained on."""
    with quiet_while_loading():
        from agent.cli.terminal.text import evaluation_lines
        from agent.settings import default_state_directory
        from engines.evaluation.charts import REPORT_UNAVAILABLE, charts_available
        from engines.evaluation.evaluate import evaluate_engine
        from engines.runtime import open_engine

    _warn_of_same_parts(trained_on, bundle, normal, abnormal)
    folder = out or bundle.parent / f"{bundle.stem}-evaluation"
    judge, inspected = _judge(bundle, false_alarms, config, camera), _inspected(bundle, config, camera)
    kept = default_state_directory()
    with open_engine(inspected, engine, directory=kept) as opened, progress_bar("evaluate") as report:
        result = evaluate_engine(opened, normal, abnormal, masks=masks, judge=judge, out=folder, progress=report)
    if json_document:
        print_line(result.to_json())
        return
    for line in evaluation_lines(result):
        print_line(line)
    print_line(f"report in {folder}" if charts_available() else REPORT_UNAVAILABLE)


def _judge(bundle: Path, false_alarms: str | None, config: Path | None, camera: str | None) -> AlarmJudge:
    """The judge that the options ask for: by a camera of the settings, or by a budget for images of single parts."""
    with quiet_while_loading():
        from agent.settings import load_settings
        from agent.tools.alarm_judge import DEFAULT_BUDGET, AlarmJudge, judge_of_settings

    if config is not None:
        return judge_of_settings(load_settings(config), bundle, camera, false_alarms)
    if camera is not None:
        raise Permanent("camera: got --camera without --config, wanted both")
    return AlarmJudge.of_budget(DEFAULT_BUDGET if false_alarms is None else false_alarms)


def _inspected(path: Path, config: Path | None, camera: str | None) -> Bundle:
    """The bundle, with the view of a camera of the settings where there are some."""
    with quiet_while_loading():
        from agent.settings import load_settings
        from agent.tools.alarm_judge import as_inspected
        from engines.bundles import read_bundle

    bundle = read_bundle(path)
    return bundle if config is None else as_inspected(bundle, load_settings(config), camera)


def _warn_of_same_parts(trained_on: Path | None, bundle: Path, *tested: Path) -> None:
    """Warn of images of parts that the model was trained on."""
    with quiet_while_loading():
        from engines.bundles import read_bundle
        from engines.siblings import warn_of_siblings

    if trained_on is None:
        return
    reading = read_bundle(bundle).manifest.reading
    for folder in tested:
        warning = warn_of_siblings(trained_on, folder, reading)
        if warning:
            print_error(f"warning: {warning}")
