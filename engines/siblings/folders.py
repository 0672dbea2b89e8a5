"""Siblings in two folders of images, for a warning."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from engines.errors import ImageError
from engines.images import Image, list_images, read_image
from engines.siblings.likeness import thumbnails
from engines.siblings.pairs import siblings_across

# Images of each folder that are read, evenly spaced.
_MOST_IMAGES = 400


def warn_of_siblings(training: Path, evaluated: Path) -> str | None:
    """A line about images of a folder that show parts of the training images; None if there are none.

    Raises ImageError if one of the folders cannot be listed.
    """
    known, asked = _read(training), _read(evaluated)
    if not known or not asked:
        return None
    found = siblings_across(thumbnails(asked.values()), thumbnails(known.values()))
    if not found:
        return None
    example, twin = list(asked)[found[0].first], list(known)[found[0].second]
    return (
        f"{len(found)} of {len(asked)} images of {evaluated} show parts that training images show too, such as "
        f"{example.name} and {twin.name}: figures on them promise too much; keep images of one part in one folder"
    )


def _read(folder: Path) -> dict[Path, Image]:
    paths = list_images(folder)
    images: dict[Path, Image] = {}
    for path in paths[:: max(1, -(-len(paths) // _MOST_IMAGES))]:
        with suppress(ImageError):
            images[path] = read_image(path)
    return images
