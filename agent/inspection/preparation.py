"""From a captured image to the model's input: find the part, crop, then fit to the model's size."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.core.records import Image
from agent.settings import AlignmentSettings, CameraSettings
from engines.bundles import Bundle, CropBox, FileReading, Geometry, View
from engines.errors import ImageError, PartNotFoundError
from engines.images import (
    Content,
    LimitChanges,
    MaskChoice,
    Pose,
    check_aspect,
    content_of,
    corrected,
    cut_as,
    cut_mask,
    fill_masked,
    fit_to_view,
    inspect,
    with_correction,
)

log = logging.getLogger(__name__)


class PreparedImage(NamedTuple):
    """A captured image on its way into the model."""

    inspected: Image
    """The part that is inspected, [H, W, C]: upright where the part was found turned."""
    pixels: Image
    """The model's input, [h, w, c]."""
    content: Content | None = None
    """The part of the model's input that shows `inspected`; None: all of it."""
    excluded: NDArray[np.bool_] | None = None
    """Pixels of `inspected` that a mask excludes, [H, W]; None without a mask. Shared: read only."""
    pose: Pose | None = None
    """How the part lies in the image; None for a model without alignment, and where no part was found."""
    to_source: NDArray[np.float64] | None = None
    """As in `Frame`."""
    not_found: str | None = None
    """As in `Frame`. What is inspected is then the place where parts usually lie."""


class Preparation:
    """Finds, crops, fits and masks parts, on the capture thread, so that a large image does not delay the engine."""

    def __init__(
        self,
        geometry: Geometry,
        crop: Crop | None = None,
        *,
        view: View | None = None,
        only_first: bool = False,
        fit: Callable[[Image], Image] | None = None,
    ) -> None:
        """Args:
        geometry: size, channels and bit depth of the model's input.
        crop: the part that is inspected; None: the whole image.
        view: of the model: correction, alignment, mask and proportions of its images; None: not known.
        only_first: check the proportions of the first image only: what a live camera changes later is a camera fault.
        fit: fits an image to the model's input, where the engine does that itself; None: on the CPU.
        """
        self._fit = fit or (lambda image: fit_to_view(image, view, geometry))
        self._geometry, self._crop = geometry, crop
        self._box = None if crop is None else CropBox(**crop.model_dump())
        self._corrected = view
        # What is left to do with a corrected image.
        self._view = None if view is None else view.model_copy(update={"crop": self._box, "correction": None})
        mask = None if view is None else view.mask
        self._excluded = None if mask is None else ~cut_mask(mask, self._box)
        self._check = partial(check_aspect, view=view) if view is not None else partial(_warn_of_stretch, geometry)
        self._only_first = only_first or view is None
        self._checked = False

    def __call__(self, image: Image) -> PreparedImage:
        """From an image [H, W, C] to the model's input.

        Raises Permanent where bit depth, channels or proportions do not fit the model, the crop exceeds the image, or
        mask or alignment have another size.
        """
        try:
            inspected, pose, not_found = self._inspect(corrected(image, self._corrected))
            if not (self._checked and self._only_first):
                self._check(inspected)
            pixels = fill_masked(self._fit(inspected), self._view, self._geometry)
        except ImageError as error:
            raise Permanent(str(error)) from None
        self._checked = True
        content = content_of(inspected, self._view, self._geometry)
        to_source = None if pose is None or self._box is None else pose.to_source(self._box)
        return PreparedImage(inspected, pixels, content, self._excluded, pose, to_source, not_found)

    def _inspect(self, image: Image) -> tuple[Image, Pose | None, str | None]:
        """The part that is inspected, how it lies, and why no part was found."""
        if self._view is None:
            return (image if self._crop is None else self._crop.cut(image)), None, None
        try:
            return *inspect(image, self._view), None
        except PartNotFoundError as error:
            return cut_as(image, self._view, None), None, str(error)


def inspected_view(camera: CameraSettings, bundle: Bundle) -> tuple[Crop | None, View | None]:
    """The part of a camera's images that is inspected, and the view of the bundle with the limits of the settings.

    Raises Permanent where the settings disagree with the bundle: the model would see other images than in training.
    """
    crop = inspected_crop(camera.crop, bundle)
    check_mask_setting(camera.mask, bundle)
    _check_reading(camera.source.reading, bundle)
    view = aligned_view(bundle.manifest.view, camera.alignment, bundle)
    return crop, view if camera.correction is None else _corrected_view(view, camera.correction, bundle)


def _corrected_view(view: View | None, file: Path, bundle: Bundle) -> View:
    """The view with a correction of the settings, which must be of the detector that the bundle was trained with."""
    trained = None if view is None else view.correction
    if view is None or trained is None:
        raise Permanent(
            f"correction is {file}, but {bundle.path.name} was trained without; remove it, or train with --correction"
        )
    try:
        found = with_correction(view, file)
    except ImageError as error:
        raise Permanent(f"correction: {error}") from None
    given = found.correction
    assert given is not None
    if (given.detector, given.level) != (trained.detector, trained.level):
        raise Permanent(
            f"correction {file} is of detector {given.detector}, wanted {trained.detector} as in {bundle.path.name}: "
            "inspectd xray calibrate --renew keeps the detector, or train again"
        )
    return found


def _check_reading(setting: FileReading | None, bundle: Bundle) -> None:
    trained = bundle.manifest.reading
    wanted = None if trained is None else trained.value_range
    if setting is not None and setting.value_range != wanted:
        raise Permanent(
            f"value_range of the source is {_range(setting.value_range)}, {bundle.path.name} was trained with "
            f"{_range(wanted)}; set the same, or train again"
        )


def _range(value_range: tuple[float, float] | None) -> str:
    return "none" if value_range is None else f"[{value_range[0]:g}, {value_range[1]:g}]"


def aligned_view(view: View | None, setting: AlignmentSettings | None, bundle: Bundle) -> View | None:
    """The view of a bundle with the limits of the settings.

    Raises Permanent for a bundle that was trained without alignment: the model would see its parts in other places.
    """
    if setting is None:
        return view
    if view is None or view.alignment is None:
        wanted = "wanted a bundle that was trained with --align: train again, or remove alignment"
        raise Permanent(f"alignment is set, but {bundle.path.name} was trained without one; {wanted}")
    limits = LimitChanges(**setting.model_dump())
    return view.model_copy(update={"alignment": limits.applied_to(view.alignment)})


def inspected_crop(setting: Crop | None, bundle: Bundle) -> Crop | None:
    """The part of the image that is inspected: that of the bundle, else that of the settings, else None for all of it.

    Raises Permanent where they disagree: the model would see another part than in training.
    """
    view = bundle.manifest.view
    if view is None or view.crop is None:
        return setting
    trained = Crop(**view.crop.model_dump())
    if setting is not None and setting != trained:
        got = f"{setting.width}×{setting.height} at {setting.x},{setting.y}"
        raise Permanent(f"crop is {got}, wanted that of {bundle.path.name}, {view.crop}: remove crop, or train again")
    return trained


def check_mask_setting(setting: Path | None, bundle: Bundle) -> None:
    """Raise Permanent where the mask of the settings is not that of the bundle.

    What a model was trained to see cannot be left out later: the filled area would be new to it in every frame.
    """
    if setting is None:
        return
    trained = None if bundle.manifest.view is None else bundle.manifest.view.mask
    wanted = f"the mask of {bundle.path.name}: remove mask, or train again with --mask"
    if trained is None:
        raise Permanent(f"mask is {setting}, but {bundle.path.name} was trained without one; train again with --mask")
    try:
        chosen = MaskChoice(setting).for_size(trained.height, trained.width)
    except ImageError as error:
        raise Permanent(f"mask: {error}; wanted {wanted}") from None
    if not np.array_equal(chosen.inspected(), trained.inspected()):
        raise Permanent(f"mask is {setting}, wanted {wanted}")


def _warn_of_stretch(geometry: Geometry, image: Image) -> None:
    """For bundles of earlier versions: images that were stretched in training, too, are no fault."""
    try:
        check_aspect(image, View.of(geometry.height, geometry.width))
    except ImageError as error:
        log.warning("%s; whether the training images were stretched like this is not known to this bundle", error)
