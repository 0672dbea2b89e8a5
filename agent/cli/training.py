"""The model: training, scoring, evaluation, speed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.console import complain, progress_bar, say, say_json
from agent.cli.options import EngineName, Json, Seed
from agent.core.errors import Permanent


def train(
    normal: Annotated[Path, typer.Option(help="Folder with pictures of good parts, and of nothing else.")],
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    minutes: Annotated[float | None, typer.Option(min=0.05, help="Time to train; kept within 10 %.")] = 10.0,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps to train, instead of a time: repeatable.")] = None,
    seed: Seed = 0,
    size: Annotated[str, typer.Option(help="Input of the model, pixels: auto, SIDE or WIDTHxHEIGHT.")] = "auto",
    recipe: Annotated[str, typer.Option(help="default, or reference (the GANomaly paper).")] = "default",
    devices: Annotated[int, typer.Option(min=1, help="Devices on this machine that train together.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines that train together, started by torchrun.")] = 1,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = "32-true",
    test_normal: Annotated[Path | None, typer.Option(help="Good parts to evaluate on afterwards.")] = None,
    test_abnormal: Annotated[Path | None, typer.Option(help="Bad parts to evaluate on afterwards.")] = None,
) -> None:
    """Learn what good parts look like. Ctrl-C keeps the best state so far."""
    if (test_normal is None) != (test_abnormal is None):
        raise typer.BadParameter("--test-normal and --test-abnormal go together")
    _need_training()
    from engines.training.train import train as train_model

    with progress_bar("train") as report:
        result = train_model(
            normal,
            out=out,
            recipe=recipe,
            size=_size(size),
            minutes=None if steps is not None else minutes,
            steps=steps,
            seed=seed,
            devices=devices,
            num_nodes=nodes,
            accelerator=accelerator,
            precision=precision,
            progress=report,
        )
    if not result.is_main:
        return
    for warning in result.record.warnings:
        complain(f"warning: {warning}")
    record = result.record
    say(
        f"{out}: trained on {record.images_used} pictures in {record.seconds:.0f} s, {record.steps} steps, "
        f"{record.images_held_out} held out, {record.images_skipped} skipped; see {out / 'report.png'}"
    )
    if test_normal is not None and test_abnormal is not None:
        evaluate(out, test_normal, test_abnormal)


def bundle_lean(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    out: Annotated[Path, typer.Argument(help="The copy to write.")],
) -> None:
    """Copy what a device needs of a bundle: without the weights for PyTorch and the training report."""
    from engines.bundles import read_bundle, write_lean_copy

    lean = write_lean_copy(read_bundle(bundle), out)
    say(f"{out}: {sum(file.stat().st_size for file in lean.path.iterdir()) / 1e6:.1f} MB")


def bundle_import(
    weights: Annotated[Path, typer.Argument(help="netG.pth, as the authors of GANomaly save it.")],
    normal: Annotated[Path, typer.Option(help="Folder with pictures of good parts; nothing is learned from them.")],
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
) -> None:
    """Make a bundle of weights that the original repository of GANomaly has trained: its scores, on every engine."""
    _need_training()
    from engines.foreign.published import bundle_published

    with progress_bar("import") as report:
        bundle = bundle_published(weights, normal, out, report)
    for warning in bundle.manifest.training.warnings:
        complain(f"note: {warning}")
    say(f"{out}: {bundle.geometry}")


def score(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    json_lines: Annotated[bool, typer.Option("--json", help="A JSON line per picture.")] = False,
    heatmaps: Annotated[Path | None, typer.Option(help="Folder for a heatmap of each picture.")] = None,
    engine: EngineName = "auto",
) -> None:
    """Score pictures: the higher, the less it looks like a good part."""
    from agent.tools.score_files import score_paths

    failed = 0
    for result in score_paths(bundle, paths, engine_name=engine, heatmaps=heatmaps):
        failed += result.error is not None
        if result.error is not None:
            complain(f"{result.path}: {result.error}")
        elif json_lines:
            say_json(result.document())
        else:
            say(f"{result.score:12.6g}  {result.path}")
    if failed:
        raise Permanent(f"{failed} of the pictures could not be scored")


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    normal: Annotated[Path, typer.Option(help="Folder with good parts that were not trained on.")],
    abnormal: Annotated[Path, typer.Option(help="Folder with bad parts.")],
    masks: Annotated[Path | None, typer.Option(help="Folder with masks of the bad parts, the same file stems.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures; beside the bundle if not given.")] = None,
    false_alarms: Annotated[
        str, typer.Option(help="Budget that a threshold is calibrated to on every other good part.")
    ] = "1 per 1000 parts",
    engine: EngineName = "auto",
    json_document: Json = False,
) -> None:
    """How well a bundle tells bad parts from good ones it has never seen."""
    from agent.cli.text import evaluation_lines
    from agent.settings import default_state_directory
    from agent.tools.part_threshold import part_calibrator
    from engines.bundles import read_bundle
    from engines.evaluation.evaluate import evaluate as evaluate_engine
    from engines.runtime import open_engine

    folder = out or bundle.with_name(f"{bundle.stem}-evaluation")
    kept, calibrator = default_state_directory(), part_calibrator(false_alarms)
    with open_engine(read_bundle(bundle), engine, directory=kept) as opened, progress_bar("evaluate") as report:
        result = evaluate_engine(
            opened, normal, abnormal, masks=masks, threshold=calibrator, out=folder, progress=report
        )
    if json_document:
        say(result.to_json())
    else:
        for line in evaluation_lines(result):
            say(line)
        say(f"pictures in {folder}")


def compare(
    normal: Annotated[Path, typer.Option(help="Folder with good parts to learn from.")],
    test_normal: Annotated[Path, typer.Option(help="Folder with good parts to test on.")],
    abnormal: Annotated[Path, typer.Option(help="Folder with bad parts.")],
    masks: Annotated[Path | None, typer.Option(help="Folder with masks of the bad parts, the same file stems.")] = None,
    only: Annotated[str | None, typer.Option(help="Some systems only, such as ganomaly,anogan,pca.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How often each system learns, each time anew.")] = 3,
    minutes: Annotated[float, typer.Option(min=0.01, help="Time that each system may learn, for each seed.")] = 2.0,
    size: Annotated[str, typer.Option(help="Frames of all systems, pixels: SIDE or WIDTHxHEIGHT.")] = "64",
    max_images: Annotated[
        int | None, typer.Option(min=1, help="Pictures of each test folder, at even distances; AnoGAN is slow.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for table, ROC curves and heatmaps.")] = Path("compare-out"),
    json_document: Json = False,
) -> None:
    """GANomaly beside the other systems of the literature, on the same pictures."""
    _need_training()
    from engines.comparison.compare import compare as compare_systems
    from engines.comparison.table import as_text

    with progress_bar("compare") as report:
        result = compare_systems(
            normal,
            test_normal,
            abnormal,
            masks=masks,
            only=None if only is None else [name.strip() for name in only.split(",")],
            size=_size(size) or 64,
            minutes=minutes,
            seeds=seeds,
            max_images=max_images,
            out=out,
            progress=report,
        )
    if json_document:
        say(result.to_json())
        return
    say(as_text(result))
    say(f"{len(result.skipped)} files could not be used; pictures in {out}" if result.skipped else f"pictures in {out}")


def bench(
    bundle: Annotated[Path, typer.Argument(help="A model bundle.")],
    engine: EngineName = "auto",
    seconds: Annotated[float, typer.Option(min=1.0, help="How long to run each of the two.")] = 10.0,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Settings of an agent whose auto shall be the fastest engine found here."),
    ] = None,
    json_document: Json = False,
) -> None:
    """Engine alone, and the whole loop, on the same frames; with auto, which of the installed engines is fastest."""
    from agent.tools.bench import bench as run_bench
    from agent.tools.bench import fastest_engine

    result = run_bench(bundle, engine_name=engine, seconds=seconds)
    choice = fastest_engine(bundle, config, seconds=seconds) if engine == "auto" else None
    if json_document:
        rates = {} if choice is None else {"engines": choice.frames_per_second, "fastest": choice.engine}
        say_json({**result.document(), **rates})
        return
    say(str(result))
    if choice is not None:
        kept = "" if config is None else "; kept, `auto` takes it from the next start on"
        say(f"engines here  {choice.reason}: {choice.engine}{kept}")


def _size(text: str) -> int | tuple[int, int] | None:
    """None for auto, a side, or (height, width) from WIDTHxHEIGHT."""
    if text == "auto":
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise typer.BadParameter(f"got {text}, wanted auto, SIDE or WIDTHxHEIGHT in pixels", param_hint="--size")
    return int(sides[0]) if len(sides) == 1 else (int(sides[1]), int(sides[0]))


def _need_training() -> None:
    for package in ("lightning_fabric", "torch"):
        if find_spec(package) is None:
            raise Permanent(f"training needs {package}: pip install 'inspectd[train]'")
