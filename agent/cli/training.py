"""Training, and GANomaly beside other systems. Both need the `train` extra."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import JsonOption, SeedOption
from agent.cli.scoring import evaluate
from agent.cli.terminal.console import print_error, print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.cli.terminal.progress import progress_bar
from agent.core.errors import Permanent

# With fewer held-out images the interval is so wide that it includes chance for a good model too.
LEAST_HELD_OUT = 12

# Times that a training may take longer than asked for before this is reported; the promise is 10 %.
OVERRUN = 1.2

if TYPE_CHECKING:
    from engines.bundles import CropBox
    from engines.training.train import TrainingResult


def train(
    normal: Annotated[Path, typer.Option(help="Folder of images of good parts, and of nothing else.")],
    out: Annotated[Path, typer.Option(help="Bundle to write.")],
    minutes: Annotated[float | None, typer.Option(min=0.05, help="Time to train, kept within 10 %.")] = 10.0,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps to train instead of a time; reproducible.")] = None,
    seed: SeedOption = 0,
    size: Annotated[str, typer.Option(help="Input of the model, pixels: auto, SIDE or WIDTHxHEIGHT.")] = "auto",
    crop: Annotated[
        str | None, typer.Option(help="Part of the images to train on and to inspect, pixels: X,Y,WIDTH,HEIGHT.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(help="pretrained, scratch (no weights of others) or reference (the GANomaly paper)."),
    ] = "pretrained",
    devices: Annotated[int, typer.Option(min=1, help="Devices of this machine to train on.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines to train on, started by torchrun.")] = 1,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = "32-true",
    test_normal: Annotated[Path | None, typer.Option(help="Good parts, to evaluate on afterwards.")] = None,
    test_abnormal: Annotated[Path | None, typer.Option(help="Bad parts, to evaluate on afterwards.")] = None,
) -> None:
    """Train a model on images of good parts. Ctrl-C keeps the best state so far."""
    if (test_normal is None) != (test_abnormal is None):
        raise typer.BadParameter("--test-normal and --test-abnormal go together")
    check_training_extra()
    with quiet_while_loading():
        from engines.training.train import train_model

    with progress_bar("train") as report:
        result = train_model(
            normal,
            out=out,
            recipe=recipe,
            size=_size(size),
            crop=_crop(crop),
            minutes=None if steps is not None else minutes,
            steps=steps,
            seed=seed,
            devices=devices,
            num_nodes=nodes,
            accelerator=accelerator,
            precision=precision,
            progress=report,
        )
    if result.is_main:
        _print_training(result, out)
        _warn_of_time(result, minutes if steps is None else None)
        if test_normal is not None and test_abnormal is not None:
            evaluate(out, test_normal, test_abnormal)
        _check_learned(result, out)


def compare_systems(
    normal: Annotated[Path, typer.Option(help="Folder of good parts to train on.")],
    test_normal: Annotated[Path, typer.Option(help="Folder of good parts to test on.")],
    abnormal: Annotated[Path, typer.Option(help="Folder of bad parts.")],
    masks: Annotated[Path | None, typer.Option(help="Folder of masks of the bad parts, with the same stems.")] = None,
    only: Annotated[str | None, typer.Option(help="Some systems only, such as ganomaly,anogan,pca.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds; each system is trained with each.")] = 3,
    minutes: Annotated[float, typer.Option(min=0.01, help="Training time of each system, for each seed.")] = 2.0,
    size: Annotated[str, typer.Option(help="Input of all systems, pixels: SIDE or WIDTHxHEIGHT.")] = "64",
    max_images: Annotated[
        int | None, typer.Option(min=1, help="Images from each test folder, evenly spaced; AnoGAN is slow.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for table, ROC curves and heatmaps.")] = Path("compare-out"),
    json_document: JsonOption = False,
) -> None:
    """Compare GANomaly with other systems from the literature on the same images."""
    check_training_extra()
    with quiet_while_loading():
        from engines.comparison.compare import run_comparison
        from engines.comparison.table import as_text

    with progress_bar("compare") as report:
        result = run_comparison(
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
        print_line(result.to_json())
        return
    print_line(as_text(result))
    skipped = f"{len(result.skipped)} files could not be used; " if result.skipped else ""
    print_line(f"{skipped}charts in {out}")


def check_training_extra() -> None:
    """Raise Permanent, with the command that installs it, if the `train` extra is missing."""
    for package in ("lightning_fabric", "matplotlib", "torch"):
        if find_spec(package) is None:
            raise Permanent(f"training needs {package}: pip install 'inspectd[train]'")


def _print_training(result: TrainingResult, out: Path) -> None:
    record = result.record
    for warning in record.warnings:
        print_error(f"warning: {warning}")
    print_line(
        f"{out}: trained on {record.images_used} images in {record.seconds:.0f} s, {record.steps} steps, "
        f"{record.images_held_out} held out, {record.images_skipped} skipped; see {out / 'report.png'}"
    )


def _warn_of_time(result: TrainingResult, minutes: float | None) -> None:
    """Warn if the time was not kept, which happens where it is too short for a step and for writing the bundle."""
    record = result.record
    if minutes is not None and record.seconds > OVERRUN * 60 * minutes:
        wanted = f"--minutes {minutes:g} was not kept: {record.steps} steps and the bundle took {record.seconds:.0f} s"
        print_error(f"warning: {wanted}; give more minutes, or a smaller --size")


def _check_learned(result: TrainingResult, out: Path) -> None:
    """Raise Permanent if the model detects plain damage no better than chance; a few held-out images prove nothing."""
    record = result.record
    damage = record.damage
    if damage is None or damage.detected or record.images_held_out < LEAST_HELD_OUT:
        return
    raise Permanent(
        f"{out} has learned nothing: it detects plain synthetic damage no better than chance (AUROC "
        f"{damage.auroc:.2f}, {damage.low:.2f}–{damage.high:.2f}; chance is 0.5) after {record.steps} steps in "
        f"{record.seconds:.0f} s; train longer, or on more images"
    )


def _crop(text: str | None) -> CropBox | None:
    """The part of an image from X,Y,WIDTH,HEIGHT; None for all of it."""
    from engines.bundles import CropBox

    if text is None:
        return None
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers) or "0" in numbers[2:]:
        raise typer.BadParameter(f"got {text}, wanted X,Y,WIDTH,HEIGHT in pixels", param_hint="--crop")
    x, y, width, height = map(int, numbers)
    return CropBox(x=x, y=y, width=width, height=height)


def _size(text: str) -> int | tuple[int, int] | None:
    """None for auto, a side, or (height, width) from WIDTHxHEIGHT; pixels."""
    if text == "auto":
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise typer.BadParameter(f"got {text}, wanted auto, SIDE or WIDTHxHEIGHT in pixels", param_hint="--size")
    return int(sides[0]) if len(sides) == 1 else (int(sides[1]), int(sides[0]))
