"""What a bundle inspects of an image, in words and as an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from agent.core.errors import Permanent
from engines.bundles import read_bundle
from engines.images import content_box, cut, prepare, read_image, viewable


def view_image(bundle: Path, image: Path, out: Path) -> Iterator[str]:
    """Write the model's input for an image to `out` as 8-bit PNG, and yield lines about its way there.

    Raises ImageError where the image does not fit the bundle, Permanent where `out` cannot be written.
    """
    manifest = read_bundle(bundle).manifest
    source = read_image(image)
    frames: Any = prepare(source, manifest)[None]
    shown = viewable(frames, manifest.normalisation)[0]
    yield f"image         {source.shape[1]}×{source.shape[0]}, {source.dtype.itemsize * 8} bit"
    crop = None if manifest.view is None else manifest.view.crop
    yield f"inspected     {'all of it' if crop is None else crop}"
    yield f"model input   {manifest.geometry}"
    box = content_box(cut(source, crop).shape, manifest.geometry)
    if manifest.view is not None and manifest.view.padding is not None:
        yield f"letterbox     the image is {box} of it, padding has the gray value {manifest.view.padding}"
    if not cv2.imwrite(str(out), shown[:, :, ::-1]):
        raise Permanent(f"{out}: cannot be written")
    yield str(out)
