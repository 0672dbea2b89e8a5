"""GANomaly beside other systems. Needs the `train` extra."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.models.training_options import (
    CropOption,
    MaskOption,
    PolygonOption,
    check_training_extra,
    let_threads_sleep,
    parse_crop,
    parse_mask,
    parse_size,
    read_known_view,
)
from agent.cli.options import JsonOption
from agent.cli.terminal.console import print_error, print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.cli.terminal.progress import progress_bar

if TYPE_CHECKING:
    from engines.comparison.records import Comparison
    from engines.training.view_choice import ViewChoice

_MinutesEach = Annotated[float, typer.Option(min=0.01, max=10080.0, help="Training time of each system and seed.")]


def compare_systems(
    normal: Annotated[Path, typer.Option(help="Folder of good parts to train on.")],
    test_normal: Annotated[Path, typer.Option(help="Folder of good parts to test on.")],
    abnormal: Annotated[Path, typer.Option(help="Folder of bad parts.")],
    masks: Annotated[Path | None, typer.Option(help="Folder of masks of the bad parts, with the same stems.")] = None,
    only: Annotated[str | None, typer.Option(help="Some systems only, such as ganomaly,anogan,pca.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds; each system is trained with each.")] = 3,
    minutes: _MinutesEach = 2.0,
    size: Annotated[str, typer.Option(help="Input of all systems, pixels: SIDE or WIDTHxHEIGHT.")] = "64",
    max_images: Annotated[
        int | None, typer.Option(min=1, help="Images from each test folder, evenly spaced; AnoGAN is slow.")
    ] = None,
    view: Annotated[Path | None, typer.Option(help="Bundle whose alignment, crop and mask all systems get.")] = None,
    crop: CropOption = None,
    mask: MaskOption = None,
    exclude_polygon: PolygonOption = None,
    out: Annotated[Path, typer.Option(help="Folder for table, ROC curves and heatmaps.")] = Path("compare-out"),
    json_document: JsonOption = False,
) -> None:
    """Compare GANomaly with other systems from the literature on the same images."""
    run_comparison, as_text = _load_comparison()
    with progress_bar("compare") as report:
        result = run_comparison(
            normal,
            test_normal,
            abnormal,
            masks=masks,
            only=_names(only),
            size=parse_size(size) or 64,
            minutes=minutes,
            seeds=seeds,
            max_images=max_images,
            view=_view(view, crop, mask, exclude_polygon),
            out=out,
            progress=report,
        )
    if json_document:
        print_line(result.to_json())
        return
    _print(as_text(result), len(result.skipped), out)


def _load_comparison() -> tuple[Callable[..., Comparison], Callable[[Comparison], str]]:
    check_training_extra()
    let_threads_sleep()
    with quiet_while_loading():
        from engines.comparison.compare import run_comparison
        from engines.comparison.table import as_text
    return run_comparison, as_text


def _print(table: str, skipped: int, out: Path) -> None:
    print_line(table)
    print_line(f"{f'{skipped} files could not be used; ' if skipped else ''}charts in {out}")


def _view(bundle: Path | None, crop: str | None, mask: Path | None, polygons: list[str] | None) -> ViewChoice:
    """What all systems see of the images."""
    from engines.training.view_choice import ViewChoice

    if bundle is None:
        return ViewChoice(parse_crop(crop), parse_mask(mask, polygons))
    found = read_known_view(bundle, {"--crop": crop, "--mask": mask, "--exclude-polygon": polygons}).view
    if found is not None and found.sensitivity is not None:
        print_error("warning: the sensitivity of regions is left out: not all systems have a score of places")
        found = found.model_copy(update={"sensitivity": None})
    return ViewChoice(like=found)


def _names(only: str | None) -> list[str] | None:
    return None if only is None else [name.strip() for name in only.split(",")]
