"""From a captured image to the model's input: crop, then fit to the model's size."""

from __future__ import annotations

from collections.abc import Callable

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.core.records import Image
from engines.bundles import Geometry
from engines.errors import ImageError
from engines.images import fit as fit_on_cpu


class Preparation:
    """Crops and fits images. Runs on the capture thread, so that a large image does not delay the engine."""

    def __init__(
        self, geometry: Geometry, crop: Crop | None = None, *, fit: Callable[[Image], Image] | None = None
    ) -> None:
        """Args:
        geometry: size, channels and bit depth of the model's input.
        crop: the part that is inspected; None: the whole image.
        fit: fits an image to the model's input, where the engine does that itself; None: on the CPU.
        """
        self._fit = fit or (lambda image: fit_on_cpu(image, geometry))
        self._crop = crop

    def __call__(self, image: Image) -> tuple[Image, Image]:
        """From an image [H, W, C] to (the part that is inspected, the model's input [h, w, c]).

        Raises Permanent where bit depth or channels do not match the model, or the crop exceeds the image.
        """
        inspected = image if self._crop is None else self._crop.cut(image)
        try:
            return inspected, self._fit(inspected)
        except ImageError as error:
            raise Permanent(str(error)) from None
