"""What of the training images is inspected, as a person chose it: alignment, crop and mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from engines.bundles import CropBox, FileReading, Frames, Geometry, View
from engines.errors import ImageError, TrainingError
from engines.images import (
    AlignmentChoice,
    Inspected,
    MaskChoice,
    SensitivityChoice,
    fill_masked,
    inspect,
    inspected_pixels,
    learned_limits,
    read_image,
    read_shape,
    with_correction,
)
from engines.training.image_shapes import Fitted

# Images whose size is that of mask, sensitivity and alignment; the most frequent size counts.
_SIZES = 16

# Frames that the fill is the median of.
_FILL_FRAMES = 256


@dataclass(frozen=True, slots=True)
class ViewChoice:
    """What of the images is inspected, and how much it counts, or the view of a bundle."""

    crop: CropBox | None = None
    mask: MaskChoice | None = None
    align: AlignmentChoice | None = None
    sensitivity: SensitivityChoice | None = None
    like: View | None = None
    """A view to take all of this from."""
    reading: FileReading | None = None
    """How the files are read; None: as they describe themselves."""
    correction: Path | None = None
    """File of the detector correction that is applied before everything else."""

    @property
    def files_read(self) -> FileReading | None:
        """How the files are read, by the view to take it from where there is one."""
        return self.reading if self.like is None else self.like.reading

    @property
    def weighed(self) -> bool:
        """Whether regions have a sensitivity of their own."""
        return self.sensitivity is not None or (self.like is not None and self.like.sensitivity is not None)


WHOLE_IMAGE = ViewChoice()


def chosen_view(paths: Sequence[Path], choice: ViewChoice) -> View:
    """Alignment, crop, mask and sensitivity of a training; the other fields of this view say nothing yet.

    With an alignment and no crop, its region is inspected. Raises TrainingError where one of them does not fit the
    images.
    """
    if choice.like is not None:
        return choice.like
    crop, mask, aligned, sensitivity = choice.crop, choice.mask, choice.align, choice.sensitivity
    crop_only = mask is None and aligned is None and sensitivity is None
    found: dict[str, Any] = {"lowest_aspect": 1.0, "highest_aspect": 1.0, "crop": crop, "reading": choice.reading}
    try:
        size = (0, 0) if crop_only else _usual_size(paths, choice.reading)
        if mask is not None:
            found |= {"mask": mask.for_size(*size), "fill": (0,)}
        if aligned is not None:
            plain = View.of(*size)
            view = plain if choice.correction is None else with_correction(plain, choice.correction)
            whole = CropBox(x=0, y=0, width=size[1], height=size[0])
            found |= {"alignment": aligned.for_size(*size, view), "crop": crop or aligned.region or whole}
        if sensitivity is not None:
            found |= {"sensitivity": sensitivity.for_size(*size, found["crop"])}
        return View(**found) if choice.correction is None else with_correction(View(**found), choice.correction)
    except ImageError as error:
        raise TrainingError(str(error)) from None
    except ValidationError as error:
        raise TrainingError(error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")) from None


def read_inspected(path: Path, part: View) -> Inspected:
    """Read an image and cut the inspected part out; ImageError, with the path, where that fails."""
    image = read_image(path, part.reading)
    try:
        return inspect(image, part)
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from None


def taught(images: list[Fitted], choice: ViewChoice, part: View) -> tuple[list[Fitted], View, list[str]]:
    """Learn from the images how well parts match; without an alignment of the person's, nothing changes.

    Returns the images whose parts match well enough, the view, and a line for each of the others.
    """
    if choice.align is None or choice.like is not None or part.alignment is None:
        return images, part, []
    matches = [each.match for each in images if each.match is not None]
    alignment = learned_limits(part.alignment, choice.align, matches)
    least = alignment.limits.least_match
    lines = [
        f"{each.path}: no part was found: the best match is {each.match:.2f}, wanted {least:g} or more"
        for each in images
        if each.match is not None and each.match < least
    ]
    kept = [each for each in images if each.match is None or each.match >= least]
    return kept, part.model_copy(update={"alignment": alignment}), lines


def with_fill(frames: Frames, view: View, geometry: Geometry, *, keep: bool) -> tuple[Frames, View]:
    """Fill what is masked of frames [N, h, w, C], with the median of what is not; `keep` the fill of the view.

    Returns the frames and the view with its fill. Raises TrainingError where the mask leaves nothing.
    """
    if view.mask is None:
        return frames, view
    try:
        inspected = inspected_pixels(view, geometry)
    except ImageError as error:
        raise TrainingError(str(error)) from None
    if not keep or len(view.fill) != geometry.channels:
        some: Any = frames[:: -(-len(frames) // _FILL_FRAMES)]
        fill = tuple(int(value) for value in np.median(some[:, inspected], axis=(0, 1)))
        view = view.model_copy(update={"fill": fill})
    filled: Any = np.stack([fill_masked(frame, view, geometry) for frame in frames])
    return filled, view


def _usual_size(paths: Sequence[Path], reading: FileReading | None) -> tuple[int, int]:
    """Height and width of most of the images, pixels. Raises ImageError if none of the first can be read."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in paths[:: -(-len(paths) // _SIZES)]:
        with suppress(ImageError):
            sizes[read_shape(path, reading)] += 1
    if not sizes:
        raise ImageError(f"{paths[0].parent}: no image of {len(paths)} could be read, wanted some to know their size")
    return sizes.most_common(1)[0][0]
