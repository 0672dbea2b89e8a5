"""Apply the correction of a view: the first step from a source image to a model's input."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from engines.bundles import View
from engines.errors import ImageError
from engines.images.detector.maps import CorrectionMaps, read_correction
from engines.images.preprocessing import Image


def corrected(image: Image, view: View | None) -> Image:
    """A source image [H, W, 1] as an ideal detector would deliver it; the image itself for a view without correction.

    Raises ImageError where the image has another size or depth than the correction, or its file cannot be read.
    """
    if view is None or view.correction is None:
        return image
    return apply(image, _maps(_file_of(view)))


def apply(image: Image, maps: CorrectionMaps) -> Image:
    """A corrected copy of an image [H, W, 1], same dtype. Raises ImageError for another size or depth."""
    about = maps.about
    if image.shape != (about.height, about.width, 1) or image.dtype.itemsize * 8 != about.bit_depth:
        got = f"{image.shape[1]}×{image.shape[0]}, {image.dtype.itemsize * 8} bit, {image.shape[2]} channels"
        wanted = f"{about.width}×{about.height}, {about.bit_depth} bit, gray"
        raise ImageError(f"the image is {got}, the detector correction is for {wanted}")
    values = cv2.subtract(image[:, :, 0], maps.offset, dtype=cv2.CV_32F)
    values = cv2.multiply(values, maps.gain)
    if maps.base:
        values += np.float32(maps.base)
    flat = values.reshape(-1)
    flat[np.flatnonzero(maps.bad)] = (flat[maps.neighbours] * maps.weights).sum(axis=1)
    highest = np.iinfo(image.dtype).max
    return cast(Image, np.rint(np.clip(values, 0, highest)).astype(image.dtype)[:, :, None])


def with_correction(view: View, file: Path) -> View:
    """The view with the correction of a file. Raises ImageError where it cannot be read."""
    found = view.model_copy(update={"correction": _maps(file).about})
    found.use_correction(file)
    return found


def _file_of(view: View) -> Path:
    file = view.correction_file
    assert file is not None, "a view with a correction is given its file where it is made"
    return file


@lru_cache(maxsize=8)
def _read(file: Path, modified_ns: int, size: int) -> CorrectionMaps:
    return read_correction(file)


def _maps(file: Path) -> CorrectionMaps:
    """The maps of a file, read once for each of its versions."""
    try:
        status = file.stat()
    except OSError as error:
        raise ImageError(f"{file}: cannot be read ({error.strerror or error})") from None
    return _read(file, status.st_mtime_ns, status.st_size)
