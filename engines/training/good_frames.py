"""Good images, read once and kept in memory at the model's size; unusable files are counted and named."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from engines.bundles import FileReading, Frames, Geometry, Normalisation, View
from engines.errors import ImageError, TrainingError
from engines.images import Image, fit, list_images, pad, padding_of
from engines.networks.ganomaly import check_size
from engines.progress import Progress
from engines.recipes.scorer import Normalise
from engines.training.image_shapes import (
    Fitted,
    Size,
    SizeChooser,
    fitted,
    shapes_of,
    typical_shape,
    usual_size,
    view_of,
    warn_of_shapes,
    without_odd_ones,
)
from engines.training.view_choice import WHOLE_IMAGE, ViewChoice, chosen_view, read_inspected, taught, with_fill

# 4 GiB: room for 65,000 frames of 256×256 in 8 bits, which fits on an 8 GiB machine.
MAX_FRAME_BYTES = 4 * 2**30

# Fewer good images than this cannot show how good parts differ: a warning, training continues.
FEW_IMAGES = 50

# This many held-out frames are enough to compare states.
_MAX_HELD_OUT = 512
_HELD_OUT_SHARE = 0.15

# Groups of siblings are kept together if so many of the frames can still be held out. If all parts are alike, all are
# siblings.
_LEAST_IN_GROUPS = 0.75

# Two images are duplicates if they differ by less than this share of the typical difference between two of the set.
_DUPLICATE_SHARE = 0.02
_THUMBNAIL_SIDE = 24


@dataclass(frozen=True, slots=True)
class GoodFrames:
    """The good images of one training."""

    geometry: Geometry
    view: View
    """Of the images as they are in the files."""
    frames: Frames
    """[N, H, W, C] in the geometry's dtype."""
    paths: tuple[Path, ...]
    """The file of each frame."""
    skipped: tuple[str, ...]
    """One line for each file that was not used."""
    warnings: tuple[str, ...]
    """Warnings about these images for the technician, a line each."""


def load_good_frames(
    images: Path | str | Sequence[Path],
    size: Size | None,
    choice: ViewChoice = WHOLE_IMAGE,
    *,
    letterbox: bool = True,
    padding: int | None = None,
    choose: SizeChooser | None = None,
    max_bytes: int = MAX_FRAME_BYTES,
    progress: Progress | None = None,
) -> GoodFrames:
    """Read what is inspected of the images of a folder or list, at `size` (height, width).

    Without a size, `choose` finds one by the typical size of the images, with warnings; by default `usual_size`. Images
    that the view does not fit, such as those without a part, are skipped. With `letterbox`, images of another shape
    than `size` are padded (`engines.images.letterbox`), and left out where they are very few; otherwise all are
    stretched. Images that have been padded already have this `padding`. Bit depth and colour are those of most files;
    files of another depth are skipped, as are unreadable ones. Raises TrainingError if fewer than two images are usable
    or they need more than `max_bytes` of memory.
    """
    paths = _paths(images, choice.files_read)
    part = chosen_view(paths, choice)
    size_warnings: tuple[str, ...] = ()
    if size is None:
        size, size_warnings = (choose or usual_size)(typical_shape(shapes_of(paths, part)))
    check_size(*size)
    usable, skipped = _read_all(paths, size, part, letterbox, max_bytes, progress)
    usable, part, unlike = taught(usable, choice, part)
    usable, odd = without_odd_ones(usable, size)
    skipped += unlike + odd
    _check_usable(usable, skipped, f"{_name_of(images)}: {len(usable)} usable of {len(paths)} images")
    geometry = _geometry([each.pixels for each in usable], size)
    kept, deeper = _of_depth(usable, geometry)
    _check_usable(kept, (), f"{_name_of(images)}: 1 usable image of {geometry.bit_depth} bits")
    skipped += deeper
    frames, view = _as_frames(kept, geometry, part, padding, keep_fill=choice.like is not None)
    warnings = (*size_warnings, *warn_of_shapes(kept, size, letterbox=letterbox), *_warnings(frames, skipped))
    return GoodFrames(geometry, view, frames, tuple(each.path for each in kept), tuple(skipped), warnings)


def _check_usable(images: Sequence[Fitted], skipped: Sequence[str], found: str) -> None:
    if len(images) < 2:
        raise TrainingError(f"{found}, wanted at least 2{f'; {skipped[0]}' if skipped else ''}")


def _of_depth(images: Sequence[Fitted], geometry: Geometry) -> tuple[list[Fitted], list[str]]:
    """The images of the geometry's bit depth, and a line for each of the others."""
    kept = [each for each in images if each.pixels.dtype == geometry.dtype]
    lines = [
        f"{each.path}: {each.pixels.dtype.itemsize * 8} bits per sample, most images here have {geometry.bit_depth}"
        for each in images
        if each.pixels.dtype != geometry.dtype
    ]
    return kept, lines


def _as_frames(
    images: Sequence[Fitted], geometry: Geometry, part: View, padding: int | None, *, keep_fill: bool
) -> tuple[Frames, View]:
    """All images as frames [N, H, W, C], and their view: `part`, with proportions, padding and fill."""
    frames, padding = _frames(images, geometry, padding)
    shapes = view_of([each.aspect for each in images])
    proportions = {"lowest_aspect": shapes.lowest_aspect, "highest_aspect": shapes.highest_aspect}
    return with_fill(frames, part.model_copy(update=proportions | {"padding": padding}), geometry, keep=keep_fill)


def _frames(images: Sequence[Fitted], geometry: Geometry, padding: int | None) -> tuple[Frames, int | None]:
    """All images as frames [N, H, W, C], padded where their shape is another one; and the padding, None without."""
    contents = [fit(each.pixels, replace(geometry, height=each.box.height, width=each.box.width)) for each in images]
    if padding is None and any(each.shape != geometry.shape for each in contents):
        padding = padding_of(contents)
    if padding is not None:
        contents = [pad(each, known.box, padding, geometry) for each, known in zip(contents, images, strict=True)]
    frames: Any = np.stack(contents)
    return frames, padding


def split(
    count: int, seed: int, groups: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide `count` ≥ 2 frames into indices (trained on, held out), both sorted.

    15 % are held out, at least one and at most 512; a few less where that keeps `groups` [count] together.

    >>> [part.tolist() for part in split(8, seed=0)]
    [[0, 1, 3, 4, 5, 6, 7], [2]]
    """
    most = min(max(1, round(count * _HELD_OUT_SHARE)), _MAX_HELD_OUT)
    order = np.random.default_rng(seed).permutation(count)
    held_out = np.zeros(count, np.bool_)
    held_out[order[:most]] = True
    if groups is not None:
        together = _whole_groups(order, groups, most)
        held_out = together if together.sum() >= _LEAST_IN_GROUPS * most else held_out
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _whole_groups(order: NDArray[np.int64], groups: NDArray[np.int64], most: int) -> NDArray[np.bool_]:
    """Which frames to hold out: whole groups, in this order, as far as they fit into `most`."""
    chosen = np.zeros(len(order), np.bool_)
    for index in order:
        members = groups == groups[index]
        if not chosen[index] and chosen.sum() + members.sum() <= most:
            chosen |= members
    return chosen


class NormalisedFrames(Dataset[Tensor]):
    """Frames as the networks need them; whole batches are fetched and normalised at once."""

    def __init__(self, frames: Frames, normalisation: Normalisation) -> None:
        self._frames = frames
        self._normalise = Normalise(normalisation)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Tensor:
        """Return one frame [C, H, W], float32."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> Tensor:
        """Return frames [B, C, H, W], float32; `DataLoader` calls this instead of `__getitem__`."""
        batch: Tensor = self._normalise(torch.from_numpy(self._frames[np.asarray(indices)]))
        return batch


def in_batches(frames: NormalisedFrames, size: int) -> Iterator[Tensor]:
    """Yield all frames in order, [B, C, H, W] float32 with B ≤ `size`."""
    for start in range(0, len(frames), size):
        yield frames.__getitems__(range(start, min(start + size, len(frames))))


def _paths(images: Path | str | Sequence[Path], reading: FileReading | None) -> list[Path]:
    if not isinstance(images, (str, Path)):
        return [Path(path) for path in images]
    try:
        paths = list_images(images, reading)
    except ImageError as error:
        raise TrainingError(str(error)) from None
    if not paths:
        raise TrainingError(
            f"{images}: no images in this folder, wanted PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000 or DICOM files of "
            "good parts"
        )
    return paths


def _name_of(images: Path | str | Sequence[Path]) -> str:
    return str(images) if isinstance(images, (str, Path)) else "the list of images"


def _read_all(
    paths: Sequence[Path],
    size: tuple[int, int],
    part: View,
    letterbox: bool,
    max_bytes: int,
    progress: Progress | None,
) -> tuple[list[Fitted], list[str]]:
    """Read every file and fit it to `size` at once, with the file's own channels and depth.

    Returns the images, and a line for each file that was not used.
    """
    usable: list[Fitted] = []
    skipped: list[str] = []
    held_bytes = 0
    for index, path in enumerate(paths):
        try:
            image, pose = read_inspected(path, part)
            each = fitted(path, image, size, letterbox=letterbox)._replace(match=None if pose is None else pose.match)
        except ImageError as error:
            skipped.append(str(error))
            continue
        held_bytes += size[0] * size[1] * each.pixels.shape[2] * each.pixels.itemsize
        if held_bytes > max_bytes:
            raise TrainingError(
                f"{len(paths)} images of {size[1]}×{size[0]} need more than {max_bytes / 2**30:.1f} GiB of memory, "
                f"wanted at most about {max(1, len(usable))} images, or a smaller size"
            )
        usable.append(each)
        if progress is not None:
            progress((index + 1) / len(paths), "reading images")
    return usable, skipped


def _geometry(images: Sequence[Image], size: tuple[int, int]) -> Geometry:
    """The bit depth of most images; colour if most are coloured: colour files with gray content count as gray."""
    depth = Counter(image.dtype.itemsize * 8 for image in images).most_common(1)[0][0]
    coloured = sum(image.shape[2] == 3 and bool(np.ptp(image, axis=2).any()) for image in images)
    colour = coloured > len(images) / 2
    return Geometry(*size, 3 if colour else 1, 16 if depth == 16 else 8, "BGR" if colour else "GRAY")


def _warnings(frames: Frames, skipped: Sequence[str]) -> tuple[str, ...]:
    warnings = []
    if skipped:
        warnings.append(f"{len(skipped)} files could not be used; the first: {skipped[0]}")
    if len(frames) < FEW_IMAGES:
        warnings.append(
            f"{len(frames)} good images are few, wanted at least {FEW_IMAGES}: "
            "the model cannot learn how much good parts vary"
        )
    duplicates = count_near_duplicates(frames)
    if duplicates:
        warnings.append(f"{duplicates} of {len(frames)} images are near duplicates of others and add nothing")
    return tuple(warnings)


def count_near_duplicates(frames: Frames) -> int:
    """Count frames [N, H, W, C] that are the same as an earlier one, or almost.

    Compares 24×24 thumbnails by root mean square, relative to the typical difference between frames of this set: frames
    that are alike because the line is steady are not duplicates.

    >>> noise = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 1)).astype(np.uint8)
    >>> count_near_duplicates(np.concatenate([noise, noise[:1] + 1]))
    1
    """
    import cv2

    hashes = Counter(hashlib.sha256(frame.tobytes()).digest() for frame in frames)
    exact = sum(count - 1 for count in hashes.values())
    size = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    means = [cv2.resize(frame.mean(axis=2, dtype=np.float32), size, interpolation=cv2.INTER_AREA) for frame in frames]
    thumbnails = np.stack(means).reshape(len(frames), -1).astype(np.float64)
    thumbnails -= thumbnails.mean(axis=0)
    sample = thumbnails[:: max(1, len(thumbnails) // 500)]
    typical = np.sqrt(2 * np.mean(np.square(sample - sample.mean(axis=0))))
    limit = (typical * _DUPLICATE_SHARE) ** 2 * thumbnails.shape[1]
    squares = np.square(thumbnails).sum(axis=1)
    near = 0
    for index in range(1, len(thumbnails)):
        distances = squares[:index] + squares[index] - 2 * thumbnails[:index] @ thumbnails[index]
        near += bool(distances.min() < limit)
    return max(exact, near)
