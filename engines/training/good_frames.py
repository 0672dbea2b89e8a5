"""Good images, read once and kept in memory at the model's size; unusable files are counted and named."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from engines.bundles import CropBox, Frames, Geometry, Normalisation, View
from engines.errors import ImageError, TrainingError
from engines.images import MOST_STRETCH, Image, cut, fit, list_images, read_image
from engines.networks.ganomaly import check_size
from engines.progress import Progress
from engines.recipes.scorer import Normalise

# 4 GiB: room for 65,000 frames of 256×256 in 8 bits, which fits on an 8 GiB machine.
MAX_FRAME_BYTES = 4 * 2**30

# Fewer good images than this cannot show how good parts differ: a warning, training continues.
FEW_IMAGES = 50

# This many held-out frames are enough to compare states.
_MAX_HELD_OUT = 512
_HELD_OUT_SHARE = 0.15

# The automatic size: multiples of 16 suit every recipe; two cores score frames of 256 pixels 50 times a second.
_MULTIPLE = 16
_LONGEST_SIDE = 256
_SHORTEST_SIDE = 32

# Images that the automatic size shrinks by more than this may lose their smallest defects: a warning. Circuit boards of
# 640 pixels with defects of ten: per-region overlap (PRO) 0.75 at 256, 0.89 at 640.
_MUCH_SMALLER = 2.0

# The typical shape is that of this many images.
_SHAPES = 64

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


def automatic_size(height: int, width: int) -> tuple[int, int]:
    """Choose the model's input size (height, width) for images of this size, in pixels: multiples of 16.

    The longest side is rounded up to a multiple of 16, 256 at most; the aspect ratio is kept.

    >>> automatic_size(28, 28), automatic_size(100, 100), automatic_size(480, 640)
    ((32, 32), (112, 112), (192, 256))
    """
    longest = max(height, width)
    scale = min(_MULTIPLE * -(-longest // _MULTIPLE), _LONGEST_SIDE) / longest
    high, wide = (max(_SHORTEST_SIDE, _MULTIPLE * round(side * scale / _MULTIPLE)) for side in (height, width))
    return high, wide


def load_good_frames(
    images: Path | str | Sequence[Path],
    size: tuple[int, int] | None,
    *,
    crop: CropBox | None = None,
    max_bytes: int = MAX_FRAME_BYTES,
    progress: Progress | None = None,
) -> GoodFrames:
    """Read the images of a folder or list at `size` (height, width); None chooses it by `automatic_size`.

    With `crop`, only this part of each image is used; an image that it exceeds is skipped.
    Bit depth and colour are those of most files; files of another depth are skipped, as are unreadable ones. Raises
    TrainingError if fewer than two images are usable or they need more than `max_bytes` of memory.
    """
    paths = _paths(images)
    size_warnings: tuple[str, ...] = ()
    if size is None:
        own = typical_shape(_sample_of_shapes(paths, crop))
        size = automatic_size(*own)
        size_warnings = _warn_of_shrinking(own, size)
    check_size(*size)
    shrunk, skipped, aspects = _read_all(paths, size, crop, max_bytes, progress)
    if len(shrunk) < 2:
        reason = f"; {skipped[0]}" if skipped else ""
        raise TrainingError(
            f"{_name_of(images)}: {len(shrunk)} usable of {len(paths)} images, wanted at least 2{reason}"
        )
    geometry = _geometry([image for _, image in shrunk], size)
    kept = [(path, image) for path, image in shrunk if image.dtype == geometry.dtype]
    skipped += [
        f"{path}: {image.dtype.itemsize * 8} bits per sample, most images here have {geometry.bit_depth}"
        for path, image in shrunk
        if image.dtype != geometry.dtype
    ]
    frames: Any = np.stack([fit(image, geometry) for _, image in kept])
    if len(kept) < 2:
        raise TrainingError(f"{_name_of(images)}: 1 usable image of {geometry.bit_depth} bits, wanted at least 2")
    view = view_of(aspects).model_copy(update={"crop": crop})
    warnings = (*size_warnings, *_warn_of_stretching(aspects, size), *_warnings(frames, skipped))
    return GoodFrames(geometry, view, frames, tuple(path for path, _ in kept), tuple(skipped), warnings)


def view_of(aspects: Sequence[float]) -> View:
    """The view of images with these aspect ratios; one in fifty may be outside.

    >>> view_of([1.0] * 60 + [4.0])
    View(lowest_aspect=1.0, highest_aspect=1.0, crop=None)
    """
    ordered, outside = sorted(aspects), len(aspects) // 50
    return View(lowest_aspect=round(ordered[outside], 4), highest_aspect=round(ordered[-1 - outside], 4))


def split(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide `count` ≥ 2 frames into indices (trained on, held out), both sorted.

    15 % are held out, at least one and at most 512.

    >>> [part.tolist() for part in split(8, seed=0)]
    [[0, 1, 3, 4, 5, 6, 7], [2]]
    """
    held_out = min(max(1, round(count * _HELD_OUT_SHARE)), _MAX_HELD_OUT)
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


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


def _paths(images: Path | str | Sequence[Path]) -> list[Path]:
    if not isinstance(images, (str, Path)):
        return [Path(path) for path in images]
    try:
        paths = list_images(images)
    except ImageError as error:
        raise TrainingError(str(error)) from None
    if not paths:
        raise TrainingError(
            f"{images}: no images in this folder, wanted PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000 or DICOM files of "
            "good parts"
        )
    return paths


def _sample_of_shapes(paths: Sequence[Path], crop: CropBox | None) -> list[tuple[int, int]]:
    """Heights and widths of readable images, evenly spaced over all of them: only these are read twice."""
    shapes = []
    for path in paths[:: -(-len(paths) // _SHAPES)]:
        with suppress(ImageError):
            height, width = cut(read_image(path), crop).shape[:2]
            shapes.append((height, width))
    return shapes or [(_SHORTEST_SIDE, _SHORTEST_SIDE)]


def typical_shape(shapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width with the median aspect ratio and the median longest side of (height, width) pairs.

    >>> typical_shape([(100, 200), (110, 200), (400, 150)])
    (110, 200)
    """
    aspect = float(np.median([height / width for height, width in shapes]))
    longest = float(np.median([max(shape) for shape in shapes]))
    return max(1, round(longest * min(1.0, aspect))), max(1, round(longest * min(1.0, 1.0 / aspect)))


def _name_of(images: Path | str | Sequence[Path]) -> str:
    return str(images) if isinstance(images, (str, Path)) else "the list of images"


def _read_all(
    paths: Sequence[Path], size: tuple[int, int], crop: CropBox | None, max_bytes: int, progress: Progress | None
) -> tuple[list[tuple[Path, Image]], list[str], list[float]]:
    """Read every file and shrink it to `size` at once, with the file's own channels and depth.

    Returns the images, a line for each file that was not used, and the aspect ratios of the images as they were.
    """
    shrunk: list[tuple[Path, Image]] = []
    aspects: list[float] = []
    skipped: list[str] = []
    held_bytes = 0
    for index, path in enumerate(paths):
        try:
            inspected = _read_cut(path, crop)
            image = _shrink(inspected, size)
        except ImageError as error:
            skipped.append(str(error))
            continue
        held_bytes += image.nbytes
        if held_bytes > max_bytes:
            raise TrainingError(
                f"{len(paths)} images of {size[1]}×{size[0]} need more than {max_bytes / 2**30:.1f} GiB of memory, "
                f"wanted at most about {max(1, len(shrunk))} images, or a smaller size"
            )
        shrunk.append((path, image))
        aspects.append(inspected.shape[1] / inspected.shape[0])
        if progress is not None:
            progress((index + 1) / len(paths), "reading images")
    return shrunk, skipped, aspects


def _read_cut(path: Path, crop: CropBox | None) -> Image:
    image = read_image(path)
    try:
        return cut(image, crop)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def _shrink(image: Image, size: tuple[int, int]) -> Image:
    gray = image.shape[2] == 1
    own = Geometry(*size, 1 if gray else 3, 8 if image.dtype == np.uint8 else 16, "GRAY" if gray else "BGR")
    return fit(image, own)


def _geometry(images: Sequence[Image], size: tuple[int, int]) -> Geometry:
    """The bit depth of most images; colour if most are coloured: colour files with gray content count as gray."""
    depth = Counter(image.dtype.itemsize * 8 for image in images).most_common(1)[0][0]
    coloured = sum(image.shape[2] == 3 and bool(np.ptp(image, axis=2).any()) for image in images)
    colour = coloured > len(images) / 2
    return Geometry(*size, 3 if colour else 1, 16 if depth == 16 else 8, "BGR" if colour else "GRAY")


def _warn_of_stretching(aspects: Sequence[float], size: tuple[int, int]) -> tuple[str, ...]:
    """`aspects` are width over height of the images."""
    stretches = [max(ratio, 1.0 / ratio) for ratio in (aspect * size[0] / size[1] for aspect in aspects)]
    count = sum(stretch > MOST_STRETCH for stretch in stretches)
    if not count:
        return ()
    return (
        f"{count} of {len(aspects)} images have another shape than {size[1]}×{size[0]} and are stretched, by up to "
        f"{max(stretches):.1f} times: choose a --size of their shape, crop all alike, or train a model for each shape",
    )


def _warn_of_shrinking(own: tuple[int, int], size: tuple[int, int]) -> tuple[str, ...]:
    (own_height, own_width), (height, width) = own, size
    times = max(own) / max(size)
    if times <= _MUCH_SMALLER:
        return ()
    return (
        f"images of {own_width}×{own_height} are shrunk to {width}×{height}: a defect of 10 pixels becomes "
        f"{10 / times:.0f} pixels; a larger --size keeps more detail and makes scoring slower",
    )


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
