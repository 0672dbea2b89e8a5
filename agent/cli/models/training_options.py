"""Options of the commands that train, and the check for what they need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.core.errors import Permanent

if TYPE_CHECKING:
    from engines.bundles import CropBox, FileReading, Manifest
    from engines.images import AlignmentChoice, LimitChanges, MaskChoice, SensitivityChoice

# The headings of `inspectd train --help`.
_IMAGES = "Images"
_MODEL = "Model"
_HARDWARE = "Hardware"
_EVALUATION = "Evaluation"

NormalOption = Annotated[Path, typer.Option(help="Folder of images of good parts, and of nothing else.")]
OutOption = Annotated[Path, typer.Option(help="Bundle to write.")]
MinutesOption = Annotated[float | None, typer.Option(min=0.05, max=10080.0, help="Time to train, kept within 10 %.")]
StepsOption = Annotated[int | None, typer.Option(min=1, help="Steps to train instead of a time; reproducible.")]
SizeOption = Annotated[
    str, typer.Option(help="Input of the model, pixels: auto, SIDE or WIDTHxHEIGHT.", rich_help_panel=_MODEL)
]
SmallestDefectOption = Annotated[
    str | None,
    typer.Option(
        help="Smallest defect to find, pixels of the images, such as 10px: decides the size.",
        rich_help_panel=_MODEL,
    ),
]
FrameBudgetOption = Annotated[
    str | None,
    typer.Option(
        help="Time that a frame may take on two threads here, such as 20ms: as large a model as fits.",
        rich_help_panel=_MODEL,
    ),
]
CropOption = Annotated[
    str | None,
    typer.Option(
        help="Part of the images to train on and to inspect, pixels: X,Y,WIDTH,HEIGHT.", rich_help_panel=_IMAGES
    ),
]
MaskOption = Annotated[
    Path | None,
    typer.Option(help="Mask: an image, white where images are inspected, or polygons (JSON).", rich_help_panel=_IMAGES),
]
PolygonOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Area that is not inspected, corners in pixels: 'X,Y X,Y X,Y'. May be given several times.",
        rich_help_panel=_IMAGES,
    ),
]
ViewOption = Annotated[
    Path | None,
    typer.Option(
        help="Bundle to take the view from: alignment, crop, mask, sensitivity, correction and reading of files.",
        rich_help_panel=_IMAGES,
    ),
]
CorrectionOption = Annotated[
    Path | None,
    typer.Option(
        help="Correction of the X-ray detector, as `inspectd xray calibrate` makes it.", rich_help_panel=_IMAGES
    ),
]
RawOption = Annotated[
    str | None,
    typer.Option(
        "--raw",
        help="Format of .raw files: WIDTHxHEIGHT[,bits=16][,byte_order=big][,header_bytes=512][,frames=4].",
        rich_help_panel=_IMAGES,
    ),
]
ValueRangeOption = Annotated[
    str | None,
    typer.Option(
        help="Values that become black and white, LOW,HIGH: for float images and DICOM files with a rescale slope.",
        rich_help_panel=_IMAGES,
    ),
]
SensitivityOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Region in which what is unusual counts so many times, corners in pixels: 'FACTOR: X,Y X,Y X,Y'. May be "
        "given several times.",
        rich_help_panel=_IMAGES,
    ),
]
AlignOption = Annotated[
    Path | None,
    typer.Option(
        help="Image of a part as it should lie: parts are found that lie elsewhere or turned, and cut out alike.",
        rich_help_panel=_IMAGES,
    ),
]
AlignRegionOption = Annotated[
    str | None,
    typer.Option(
        help="What of that image is looked for, and inspected without --crop: X,Y,WIDTH,HEIGHT.",
        rich_help_panel=_IMAGES,
    ),
]
AlignWithinOption = Annotated[
    str | None,
    typer.Option(
        help="How far parts may lie from there, PIXELS,DEGREES; a tenth of the image and 15 by default.",
        rich_help_panel=_IMAGES,
    ),
]
RecipeOption = Annotated[
    str,
    typer.Option(
        help="pretrained, scratch (no weights of others) or reference (the GANomaly paper).", rich_help_panel=_MODEL
    ),
]
BackboneOption = Annotated[
    Path | None,
    typer.Option(
        help="Weights of your own for the features: a ResNet of torchvision or timm, .pth or .safetensors.",
        rich_help_panel=_MODEL,
    ),
]
DevicesOption = Annotated[
    int, typer.Option(min=1, help="Devices of this machine to train on.", rich_help_panel=_HARDWARE)
]
NodesOption = Annotated[
    int, typer.Option(min=1, help="Machines to train on, started by torchrun.", rich_help_panel=_HARDWARE)
]
AcceleratorOption = Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_HARDWARE)]
PrecisionOption = Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.", rich_help_panel=_HARDWARE)]
TestNormalOption = Annotated[
    Path | None, typer.Option(help="Good parts, to evaluate on afterwards.", rich_help_panel=_EVALUATION)
]
TestAbnormalOption = Annotated[
    Path | None, typer.Option(help="Bad parts, to evaluate on afterwards.", rich_help_panel=_EVALUATION)
]


def check_training_extra() -> None:
    """Raise Permanent, with the command that installs it, if the `train` extra is missing."""
    for package in ("lightning_fabric", "matplotlib", "torch"):
        if find_spec(package) is None:
            raise Permanent(f"training needs {package}: pip install 'inspectd[train]'")


def let_threads_sleep() -> None:
    """Let PyTorch's threads sleep while they wait for each other; before PyTorch is loaded.

    Awake, they take the cores from the threads that they wait for: on two cores that a dozen other programs used, a
    convolutional network then made 1 and 3 steps in 8 s, asleep 41 and 15.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def parse_crop(text: str | None, option: str = "--crop") -> CropBox | None:
    """The part of an image from X,Y,WIDTH,HEIGHT; None for all of it."""
    from engines.bundles import CropBox

    if text is None:
        return None
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers) or "0" in numbers[2:]:
        raise typer.BadParameter(f"got {text}, wanted X,Y,WIDTH,HEIGHT in pixels", param_hint=option)
    x, y, width, height = map(int, numbers)
    return CropBox(x=x, y=y, width=width, height=height)


def parse_mask(file: Path | None, polygons: list[str] | None) -> MaskChoice | None:
    """The mask of a file and of polygons; None without either. Raises ImageError for text that is no polygon."""
    from engines.images import MaskChoice, parse_polygon

    if file is None and not polygons:
        return None
    return MaskChoice(file, tuple(parse_polygon(text) for text in polygons or ()))


def parse_sensitivity(regions: list[str] | None) -> SensitivityChoice | None:
    """Regions with a factor; None without any. Raises ImageError for other text."""
    from engines.images import SensitivityChoice, parse_region

    return SensitivityChoice(tuple(parse_region(text) for text in regions)) if regions else None


def parse_factors(text: str | None) -> tuple[float, ...] | None:
    """Factors of regions from 2,0.5; None without any."""
    if text is None:
        return None
    try:
        return tuple(float(factor) for factor in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"got {text}, wanted numbers such as 2,0.5", param_hint="--factors") from None


def parse_alignment(file: Path | None, region: str | None, within: str | None) -> AlignmentChoice | None:
    """The alignment of the options; None without --align."""
    from engines.images import AlignmentChoice

    if file is None:
        if region is not None or within is not None:
            raise typer.BadParameter("--align-region and --align-within need the image of --align")
        return None
    return AlignmentChoice(file, parse_crop(region, "--align-region"), _parse_limits(within))


def _parse_limits(text: str | None) -> LimitChanges:
    from engines.images import LimitChanges

    if text is None:
        return LimitChanges()
    try:
        pixels, degrees = (float(part) for part in text.split(","))
    except ValueError:
        pixels, degrees = -1.0, 0.0
    if not (0.0 <= pixels < 2**16 and 0.0 <= degrees <= 180.0):
        wanted = "wanted PIXELS,DEGREES, up to 180 degrees, such as 60,15"
        raise typer.BadParameter(f"got {text}, {wanted}", param_hint="--align-within")
    return LimitChanges(pixels, degrees)


def read_known_view(bundle: Path, others: Mapping[str, object]) -> Manifest:
    """The manifest of the bundle whose view is taken.

    `others`: what else was given of a view, by its options; the view has all of it, so that there may be none.
    """
    from engines.bundles import read_bundle

    given = [option for option, value in others.items() if value]
    if given:
        raise typer.BadParameter(f"--view gives all that images show; wanted no {', '.join(given)}")
    return read_bundle(bundle).manifest


def parse_reading(raw: str | None, value_range: str | None) -> FileReading | None:
    """How files are read that do not describe themselves; None without an option."""
    from pydantic import ValidationError

    from engines.bundles import FileReading

    if raw is None and value_range is None:
        return None
    values: dict[str, Any] = {}
    if raw is not None:
        size, *more = raw.split(",")
        width, _, height = size.lower().partition("x")
        values["raw"] = {"width": width, "height": height, **dict(_pair(each) for each in more)}
    if value_range is not None:
        values["value_range"] = value_range.split(",")
    try:
        return FileReading.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = "--raw" if "raw" in first["loc"] else "--value-range"
        place = "".join(f"{part}: " for part in first["loc"][1:])
        raise typer.BadParameter(f"{place}{first['msg']}", param_hint=option) from None


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip()


def parse_number(text: str | None, unit: str, option: str) -> float | None:
    """The number of a text such as `10px`, with or without its unit; above 0."""
    if text is None:
        return None
    number = text.strip().lower().removesuffix(unit).strip().replace(",", ".")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise typer.BadParameter(f"got {text}, wanted a number of {unit}, such as 10{unit}", param_hint=option)
    return value


def parse_size(text: str) -> int | tuple[int, int] | None:
    """None for auto, a side, or (height, width) from WIDTHxHEIGHT; pixels."""
    if text == "auto":
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise typer.BadParameter(f"got {text}, wanted auto, SIDE or WIDTHxHEIGHT in pixels", param_hint="--size")
    return int(sides[0]) if len(sides) == 1 else (int(sides[1]), int(sides[0]))
