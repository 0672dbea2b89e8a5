"""What a bundle inspects of an image, in words and as an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agent.alarms import grey_out, outline
from agent.core.durable_file import write_whole
from agent.core.image_bytes import encode
from engines.bundles import read_bundle
from engines.images import content_box, factors_of_pixels, inspected_pixels, prepare, read_image, viewable


def view_image(bundle: Path, image: Path, out: Path) -> Iterator[str]:
    """Write the model's input for an image to `out` as 8-bit PNG, and yield lines about its way there.

    What a mask excludes is grey in the PNG; regions of higher sensitivity are outlined in orange, of lower in blue.
    Raises ImageError where the image does not fit the bundle or shows no part, Permanent where `out` cannot be written.
    """
    manifest = read_bundle(bundle).manifest
    view = manifest.view
    source = read_image(image, manifest.reading)
    pixels, _, pose = prepare(source, manifest)
    frames: Any = pixels[None]
    shown = viewable(frames, manifest.normalisation)[0]
    yield f"image         {source.shape[1]}×{source.shape[0]}, {source.dtype.itemsize * 8} bit"
    if view is not None and view.correction is not None:
        yield f"correction    {view.correction}"
    crop = None if view is None else view.crop
    if view is not None and view.alignment is not None:
        yield f"alignment     {view.alignment}"
        yield f"part          {pose}"
    yield f"inspected     {'all of it' if crop is None else crop}{'' if pose is None else ' of the aligned image'}"
    if view is not None and view.mask is not None:
        shown = grey_out(shown, ~inspected_pixels(view, manifest.geometry))
        yield f"mask          {view.mask}"
    if view is not None and view.sensitivity is not None:
        shown = outline(shown[:, :, ::-1], factors_of_pixels(view, manifest.geometry) - 1.0)[:, :, ::-1]
        yield f"sensitivity   {view.sensitivity}"
    yield f"model input   {manifest.geometry}"
    if view is not None and view.padding is not None:
        box = content_box(source.shape if crop is None else (crop.height, crop.width), manifest.geometry)
        yield f"letterbox     the image is {box} of it, padding has the gray value {view.padding}"
    write_whole(out, encode(np.ascontiguousarray(shown[:, :, ::-1]), "image/png"))
    yield str(out)
