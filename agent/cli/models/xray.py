"""Correction of X-ray detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.models.training_options import RawOption, ValueRangeOption, parse_reading
from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.cli.terminal.progress import progress_bar
from agent.core.errors import Permanent


def calibrate(
    dark: Annotated[Path, typer.Option(help="Folder of images without radiation, 3 or more; better 20.")],
    flat: Annotated[Path, typer.Option(help="Folder of images with radiation and without a part, 4 or more.")],
    out: Annotated[Path, typer.Option(help="File of the correction to write, .npz.")],
    renew: Annotated[
        Path | None,
        typer.Option(help="Earlier correction of this detector: bundles that were trained with it take the new one."),
    ] = None,
    raw: RawOption = None,
    value_range: ValueRangeOption = None,
) -> None:
    """Make the dark-field, flat-field and bad-pixel correction of a detector."""
    with quiet_while_loading():
        from agent.core.clock import utc_now
        from agent.core.durable_file import replace_file
        from agent.tools.image_list import images_in
        from engines.images import calibrate, pack_correction, read_correction

    reading = parse_reading(raw, value_range)
    _check_replaceable(out)
    renewed = None if renew is None else read_correction(renew).about
    darks, flats = images_in(dark, reading), images_in(flat, reading)
    with progress_bar("calibrate") as report:
        maps = calibrate(darks, flats, utc_now(), reading=reading, renewed=renewed, progress=report)
    try:
        replace_file(out, pack_correction(maps))
    except OSError as error:
        raise Permanent(f"{out}: cannot be written: {error.strerror or error}") from None
    about, pixels = maps.about, maps.bad.size
    print_line(
        f"{out}: {about.bad_pixels} of {pixels} pixels are bad ({about.bad_pixels / pixels:.3%}); non-uniformity "
        f"{about.non_uniformity:.2%} on {len(flats) // 4} flat images that were held out; detector {about.detector}"
    )


def _check_replaceable(out: Path) -> None:
    """Raise Permanent where the file to write exists and is no correction: perhaps an image, given by mistake."""
    if (out.exists() or out.is_symlink()) and not _is_correction(out):
        raise Permanent(f"{out}: exists and is no detector correction, so it is not replaced")


def _is_correction(path: Path) -> bool:
    from engines.errors import ImageError
    from engines.images import read_correction

    try:
        return path.is_file() and read_correction(path) is not None
    except ImageError:
        return False
