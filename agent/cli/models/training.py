"""Training; needs the `train` extra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer

from agent.cli.models.scoring import evaluate
from agent.cli.models.training_options import (
    AcceleratorOption,
    AlignOption,
    AlignRegionOption,
    AlignWithinOption,
    BackboneOption,
    CorrectionOption,
    CropOption,
    DevicesOption,
    FrameBudgetOption,
    MaskOption,
    MinutesOption,
    NodesOption,
    NormalOption,
    OutOption,
    PolygonOption,
    PrecisionOption,
    RawOption,
    RecipeOption,
    SensitivityOption,
    SizeOption,
    SmallestDefectOption,
    StepsOption,
    TestAbnormalOption,
    TestNormalOption,
    ValueRangeOption,
    ViewOption,
    check_training_extra,
    let_threads_sleep,
    parse_alignment,
    parse_crop,
    parse_mask,
    parse_number,
    parse_reading,
    parse_sensitivity,
    parse_size,
    read_known_view,
)
from agent.cli.options import SeedOption
from agent.cli.terminal.console import print_error, print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.cli.terminal.progress import progress_bar
from agent.core.errors import Permanent

# With fewer held-out images the interval is so wide that it includes chance for a good model too.
LEAST_HELD_OUT = 12

# Times that a training may take longer than asked for before this is reported; the promise is 10 %.
OVERRUN = 1.2

if TYPE_CHECKING:
    from engines.training.train import TrainingResult


def train(
    normal: NormalOption,
    out: OutOption,
    view: ViewOption = None,
    minutes: MinutesOption = 10.0,
    steps: StepsOption = None,
    seed: SeedOption = 0,
    size: SizeOption = "auto",
    smallest_defect: SmallestDefectOption = None,
    frame_budget: FrameBudgetOption = None,
    crop: CropOption = None,
    mask: MaskOption = None,
    exclude_polygon: PolygonOption = None,
    sensitivity: SensitivityOption = None,
    align: AlignOption = None,
    align_region: AlignRegionOption = None,
    align_within: AlignWithinOption = None,
    correction: CorrectionOption = None,
    raw: RawOption = None,
    value_range: ValueRangeOption = None,
    recipe: RecipeOption = "pretrained",
    backbone: BackboneOption = None,
    devices: DevicesOption = 1,
    nodes: NodesOption = 1,
    accelerator: AcceleratorOption = "auto",
    precision: PrecisionOption = "32-true",
    test_normal: TestNormalOption = None,
    test_abnormal: TestAbnormalOption = None,
) -> None:
    """Train a model on images of good parts. Ctrl-C keeps the best state so far."""
    plans, train_model = _load_training(test_normal, test_abnormal)
    minutes = None if steps is not None else minutes
    wishes = _wishes(smallest_defect, frame_budget)
    values = (crop, mask, exclude_polygon, sensitivity, align, align_region, align_within, correction, raw, value_range)
    shown = _shown(view, dict(zip(_VIEW, values, strict=True)), parse_size(size), wished=any(wishes))
    model = {"recipe": recipe, "backbone": backbone, "seed": seed, "wishes": plans.Wishes(*wishes), **shown}
    limits = {"minutes": minutes, "steps": steps, "devices": plans.Devices(accelerator, devices, nodes, precision)}
    with progress_bar("train") as report:
        result = train_model(plans.TrainingPlan(normal, out=out, **model, **limits), report)
    _report(result, out, minutes, normal, (test_normal, test_abnormal))


# The options that say what images show, in the order of `train`.
_VIEW = (
    "--crop", "--mask", "--exclude-polygon", "--sensitivity", "--align", "--align-region", "--align-within",
    "--correction", "--raw", "--value-range",
)  # fmt: skip


def _shown(
    bundle: Path | None, given: Mapping[str, Any], size: int | tuple[int, int] | None, *, wished: bool
) -> dict[str, Any]:
    """View, size and padding of a plan: by the options that are `given`, or those of a bundle.

    `wished`: somebody has a wish that decides the size; it counts as one that is named.
    """
    from engines.training.view_choice import ViewChoice

    if bundle is not None:
        known = read_known_view(bundle, given)
        same = (known.geometry.height, known.geometry.width)
        padding = None if known.view is None else known.view.padding
        return {"view": ViewChoice(like=known.view), "size": size if size or wished else same, "padding": padding}
    choice = ViewChoice(
        parse_crop(given["--crop"]),
        parse_mask(given["--mask"], given["--exclude-polygon"]),
        parse_alignment(given["--align"], given["--align-region"], given["--align-within"]),
        parse_sensitivity(given["--sensitivity"]),
        reading=parse_reading(given["--raw"], given["--value-range"]),
        correction=given["--correction"],
    )
    return {"view": choice, "size": size}


def _wishes(smallest_defect: str | None, frame_budget: str | None) -> tuple[float | None, float | None]:
    return (
        parse_number(smallest_defect, "px", "--smallest-defect"),
        parse_number(frame_budget, "ms", "--frame-budget"),
    )


def _report(
    result: TrainingResult,
    out: Path,
    minutes: float | None,
    trained_on: Path,
    tests: tuple[Path | None, Path | None],
) -> None:
    """Print how it went, evaluate on good and bad `tests`, and raise Permanent if nothing was learned.

    With several processes, only the first one does.
    """
    if not result.is_main:
        return
    _print_training(result, out, minutes)
    normal, abnormal = tests
    if normal is not None and abnormal is not None:
        evaluate(out, normal, abnormal, trained_on=trained_on)
    _check_learned(result, out)


def _check_tests(test_normal: Path | None, test_abnormal: Path | None) -> None:
    if (test_normal is None) != (test_abnormal is None):
        raise typer.BadParameter("--test-normal and --test-abnormal go together")


def _load_training(
    test_normal: Path | None, test_abnormal: Path | None
) -> tuple[ModuleType, Callable[..., TrainingResult]]:
    """What a plan is made of, and the function that trains, once the options are checked; the libraries take seconds to
    load."""
    _check_tests(test_normal, test_abnormal)
    check_training_extra()
    let_threads_sleep()
    with quiet_while_loading():
        from engines.training import plan
        from engines.training.train import train_model
    return plan, train_model


def _print_training(result: TrainingResult, out: Path, minutes: float | None) -> None:
    record = result.record
    for warning in record.warnings:
        print_error(f"warning: {warning}")
    print_line(
        f"{out}: trained on {record.images_used} images in {record.seconds:.0f} s, {record.steps} steps, "
        f"{record.images_held_out} held out, {record.images_skipped} skipped; see {out / 'report.png'}"
    )
    time = record.frame_time
    if time is not None:
        kept = "within" if time.milliseconds <= time.budget_milliseconds else "more than"
        print_line(
            f"a frame of {result.bundle.geometry} takes {time.milliseconds:.1f} ms on {time.threads} threads of this "
            f"machine, {kept} the budget of {time.budget_milliseconds:g} ms; `inspectd bench` measures it on the device"
        )
    _warn_of_time(result, minutes)


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
