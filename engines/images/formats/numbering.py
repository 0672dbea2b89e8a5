"""The paths of several images in one file: the third of `casting.dcm` is `casting#3.dcm`.

So each has a name in results, and its heatmap and its mask have it too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from engines.errors import ImageError

_NUMBERED = re.compile(r"(.+)#([1-9][0-9]{0,5})")


def frame_path(file: Path, number: int) -> Path:
    """The path of image `number`, from 1, of a file.

    >>> frame_path(Path("out/casting.dcm"), 3)
    PosixPath('out/casting#3.dcm')
    """
    return file.with_name(f"{file.stem}#{number}{file.suffix}")


def locate(path: Path) -> tuple[Path, int | None]:
    """The file that holds an image, and the number of the image in it, from 1; None where the path is a file's."""
    match = _NUMBERED.fullmatch(path.stem)
    if match is None or os.path.lexists(path):
        return path, None
    return path.with_name(match[1] + path.suffix), int(match[2])


def file_of(path: Path) -> Path:
    """The file that holds the image of a path."""
    return locate(path)[0]


def check_number(path: Path, number: int | None, count: int, kind: str) -> None:
    """Raise ImageError where a path names none of several images of a file, or one that is not there.

    kind: of several, in words, such as "pages in one TIFF file".
    """
    if number is None and count > 1:
        names = f"{frame_path(path, 1).name} to {frame_path(path, count).name}"
        raise ImageError(f"{path}: {count} {kind}, wanted one of them, {names}")
    if number is not None and number > count:
        raise ImageError(f"{path}: number {number} of {count} {kind}")
