"""Siblings in two folders of images, for a warning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engines.errors import ImageError
from engines.images import FileReading, Image, list_images, read_image
from engines.siblings.likeness import Thumbnails, thumbnails
from engines.siblings.pairs import siblings_across

# Images of each folder that are read, evenly spaced.
_MOST_IMAGES = 400


def warn_of_siblings(training: Path, evaluated: Path, reading: FileReading | None = None) -> str | None:
    """A line about images of a folder that show parts of the training images; None if there are none.

    Raises ImageError if one of the folders cannot be listed.
    """
    (names, known), (asked_names, asked) = _read(training, reading), _read(evaluated, reading)
    found = siblings_across(asked, known) if names and asked_names else []
    if not found:
        return None
    example, twin = asked_names[found[0].first], names[found[0].second]
    return (
        f"{len(found)} of {len(asked)} images of {evaluated} show parts that training images show too, such as "
        f"{example} and {twin}: figures on them promise too much; keep images of one part in one folder"
    )


def _read(folder: Path, reading: FileReading | None) -> tuple[list[str], Thumbnails]:
    """Names and thumbnails of readable images, one image in memory at a time."""
    paths = list_images(folder, reading)
    names: list[str] = []

    def images() -> Iterator[Image]:
        for path in paths[:: max(1, -(-len(paths) // _MOST_IMAGES))]:
            with suppress(ImageError):
                image = read_image(path, reading)
                names.append(path.name)
                yield image

    small = thumbnails(images())
    return names, small
