"""From a captured image to the model's input: crop, then fit to the model's size."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.core.records import Image
from engines.bundles import Bundle, Geometry, View
from engines.errors import ImageError
from engines.images import Content, check_aspect, content_of, fit_to_view

log = logging.getLogger(__name__)


class Preparation:
    """Crops and fits images. Runs on the capture thread, so that a large image does not delay the engine."""

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
        view: proportions of the images that the model was trained on; None: not known.
        only_first: check the proportions of the first image only: what a live camera changes later is a camera fault.
        fit: fits an image to the model's input, where the engine does that itself; None: on the CPU.
        """
        self._fit = fit or (lambda image: fit_to_view(image, view, geometry))
        self._geometry, self._view = geometry, view
        self._crop = crop
        self._check = partial(check_aspect, view=view) if view is not None else partial(_warn_of_stretch, geometry)
        self._only_first = only_first or view is None
        self._checked = False

    def __call__(self, image: Image) -> tuple[Image, Image]:
        """From an image [H, W, C] to (the part that is inspected, the model's input [h, w, c]).

        Raises Permanent where bit depth, channels or proportions do not fit the model, or the crop exceeds the image.
        """
        inspected = image if self._crop is None else self._crop.cut(image)
        try:
            if not (self._checked and self._only_first):
                self._check(inspected)
            pixels = self._fit(inspected)
        except ImageError as error:
            raise Permanent(str(error)) from None
        self._checked = True
        return inspected, pixels

    def content(self, inspected: Image) -> Content | None:
        """The part of the model's input that shows an inspected image [H, W, C]; None if it is all of it."""
        return content_of(inspected, self._view, self._geometry)


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


def _warn_of_stretch(geometry: Geometry, image: Image) -> None:
    """For bundles of earlier versions: images that were stretched in training, too, are no fault."""
    try:
        check_aspect(image, View.of(geometry.height, geometry.width))
    except ImageError as error:
        log.warning("%s; whether the training images were stretched like this is not known to this bundle", error)
