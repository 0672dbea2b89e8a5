"""Siblings between two sets of images, and the groups of siblings within one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.siblings.likeness import Thumbnails

# Pairs that are looked at, in about two seconds of one core.
_MOST_PAIRS = 160_000


# Images that are compared with each other at once, in about 150 MB.
_MOST_AT_ONCE = 2048


class Pair(NamedTuple):
    """An image of one set and a sibling of it in the other, by their numbers."""

    first: int
    second: int


def siblings_across(first: Thumbnails, second: Thumbnails) -> list[Pair]:
    """For each image of the first set that has siblings in the second, one of them.

    Of large sets, evenly spaced images are compared.
    """
    most = int(_MOST_PAIRS**0.5)
    ours, theirs = _evenly(len(first), most), _evenly(len(second), most)
    residuals, offset = first.joined(second).residuals(), len(first)
    found = []
    for index in ours.tolist():
        likely = residuals.likely(index, theirs + offset).tolist()
        sibling = next((other for other in likely if residuals.are_siblings(index, other)), None)
        if sibling is not None:
            found.append(Pair(index, sibling - offset))
    return found


def sibling_groups(images: Thumbnails) -> NDArray[np.int64]:
    """The number of the group of each image, [N]; most groups have one image.

    Images of large sets are compared with their neighbours in the order of the files only: siblings are taken one after
    the other.
    """
    count = len(images)
    if count > _MOST_AT_ONCE:
        parts = range(0, count, _MOST_AT_ONCE)
        within = [sibling_groups(Thumbnails(images.pixels[at : at + _MOST_AT_ONCE])) + at for at in parts]
        return np.concatenate(within)
    reach = max(1, min(count, _MOST_PAIRS // max(1, count)))
    residuals = images.residuals()
    groups = np.arange(count)
    for index in range(count - 1):
        later = np.arange(index + 1, min(count, index + 1 + reach))
        for other in residuals.likely(index, later).tolist():
            if groups[index] != groups[other] and residuals.are_siblings(index, other):
                groups[groups == groups[other]] = groups[index]
    return groups


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
