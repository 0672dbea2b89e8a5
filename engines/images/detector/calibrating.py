"""From dark and flat images to the correction of a detector (bad pixels as in ASTM E2597, section 3)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import Correction, FileReading
from engines.errors import ImageError
from engines.images.detector.correcting import apply
from engines.images.detector.maps import CorrectionMaps
from engines.images.preprocessing import Image
from engines.images.reading import read_image
from engines.progress import Progress

LEAST_DARK, LEAST_FLAT = 3, 4

# Every fourth flat image is held out: the correction is measured on images that it was not made from.
_HELD_OUT_EVERY = 4

# ASTM E2597: a pixel responds too little or too much beside its surroundings, or its noise in the dark is too high.
_LEAST_RESPONSE, _MOST_RESPONSE, _MOST_NOISE = 0.6, 1.3, 6.0

# The surroundings of a pixel, as blocks whose median is taken: lines and clusters of dead pixels do not change it.
_BLOCK = 32

# Detectors have some ten thousandths of bad pixels. With more than this, the images are of something else.
_MOST_BAD = 0.05

# Times that flat and dark images differ by, in standard deviations of a pixel in the dark.
_LEAST_DIFFERENCE = 5.0

# Share of the pixels that have the highest value in every flat image: they are saturated, not alike by chance.
_MOST_SATURATED = 0.001


@dataclass(slots=True)
class _Sums:
    """What is needed of many images [H, W], without keeping them."""

    count: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    """Sum of squared differences from the mean (Welford)."""
    least: NDArray[np.float64]

    @property
    def noise(self) -> NDArray[np.float64]:
        """Standard deviation of each pixel."""
        return np.asarray(np.sqrt(self.squares / max(1, self.count - 1)))


def calibrate(
    dark: Sequence[Path],
    flat: Sequence[Path],
    now: datetime,
    *,
    reading: FileReading | None = None,
    renewed: Correction | None = None,
    progress: Progress | None = None,
) -> CorrectionMaps:
    """The correction by dark images (no radiation) and flat ones (radiation, no part).

    renewed: the correction of the same detector that this one replaces: identity and gray level stay.
    Raises ImageError where the images do not show that.
    """
    report = progress or (lambda fraction, message: None)
    _check_counts(dark, flat)
    made_from = [path for index, path in enumerate(flat) if index % _HELD_OUT_EVERY != _HELD_OUT_EVERY - 1]
    like = _read(dark[0], reading, None)
    _check_renewed(like, renewed)
    darks = _sums(dark, reading, like, lambda share: report(0.5 * share, "dark images"))
    flats = _sums(made_from, reading, like, lambda share: report(0.5 + 0.3 * share, "flat images"))
    maps = _maps_of(darks, flats, now, like.dtype.itemsize * 8, renewed)
    report(0.8, "measuring on flat images that were held out")
    return _measured(maps, flat[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY], reading, like)


def _maps_of(darks: _Sums, flats: _Sums, now: datetime, bit_depth: int, renewed: Correction | None) -> CorrectionMaps:
    _check_exposure(darks, flats)
    bad = _bad_pixels(darks, flats)
    response = flats.mean - darks.mean
    level = float(np.abs(response[~bad]).mean()) if renewed is None else renewed.level
    gain = np.divide(level, np.abs(response), out=np.ones_like(response), where=~bad)
    # As MONOCHROME1 images do, which are inverted when they are read.
    falls = float(np.median(response)) < 0
    about = Correction(
        detector=secrets.token_hex(8) if renewed is None else renewed.detector,
        width=bad.shape[1],
        height=bad.shape[0],
        bit_depth=bit_depth,
        level=level,
        made_at=now.isoformat(timespec="seconds"),
        bad_pixels=int(bad.sum()),
        non_uniformity=0.0,
    )
    base = float(darks.mean[~bad].mean()) if falls else 0.0
    return CorrectionMaps.of(about, darks.mean.astype(np.float32), gain.astype(np.float32), base, bad)


def _check_counts(dark: Sequence[Path], flat: Sequence[Path]) -> None:
    for kind, images, least in (("dark", dark, LEAST_DARK), ("flat", flat, LEAST_FLAT)):
        if len(images) < least:
            raise ImageError(f"{len(images)} {kind} images, wanted at least {least}; better 20")


def _check_renewed(like: Image, renewed: Correction | None) -> None:
    if renewed is not None and (renewed.height, renewed.width) != like.shape[:2]:
        raise ImageError(f"the images are {_by(like)}, the correction to renew is {renewed.width}×{renewed.height}")


def _read(path: Path, reading: FileReading | None, like: Image | None) -> Image:
    """A gray image, of the size and depth of the first one."""
    image = read_image(path, reading)
    if image.shape[2] != 1:
        raise ImageError(f"{path}: a colour image, wanted the gray one of a detector")
    if like is not None and (image.shape != like.shape or image.dtype != like.dtype):
        got, wanted = (f"{_by(each)}, {each.dtype.itemsize * 8} bit" for each in (image, like))
        raise ImageError(f"{path}: the image is {got}, the first dark one {wanted}")
    return image


def _sums(paths: Sequence[Path], reading: FileReading | None, like: Image, report: Callable[[float], None]) -> _Sums:
    shape = like.shape[:2]
    sums = _Sums(0, np.zeros(shape), np.zeros(shape), np.full(shape, np.inf))
    for path in paths:
        values = _read(path, reading, like)[:, :, 0].astype(np.float64)
        sums.count += 1
        before = values - sums.mean
        sums.mean += before / sums.count
        sums.squares += before * (values - sums.mean)
        np.minimum(sums.least, values, out=sums.least)
        report(sums.count / len(paths))
    return sums


def _check_exposure(darks: _Sums, flats: _Sums) -> None:
    highest = flats.least.max()
    # Noise changes every value but the highest that the detector has, whatever its bits.
    saturated = float(((flats.least == highest) & (flats.squares == 0)).mean())
    if saturated > _MOST_SATURATED:
        raise ImageError(
            f"{saturated:.1%} of the pixels have the value {highest:.0f} in every flat image: saturated; lower the dose"
        )
    difference = abs(float(np.median(flats.mean - darks.mean)))
    noise = max(1.0, float(np.median(darks.noise)))
    if difference < _LEAST_DIFFERENCE * noise:
        raise ImageError(
            f"flat and dark images differ by {difference:.1f}, with a noise of {noise:.1f}: wanted flat images with "
            "radiation and dark ones without"
        )


def _bad_pixels(darks: _Sums, flats: _Sums) -> NDArray[np.bool_]:
    """Pixels that respond too little or too much, or are noisy in the dark. Raises ImageError for too many."""
    response = flats.mean - darks.mean
    share = response / _surroundings(response)
    noise = darks.noise
    usual = max(float(np.median(noise)), 0.5)
    bad = (share < _LEAST_RESPONSE) | (share > _MOST_RESPONSE) | (noise > _MOST_NOISE * usual) | ~np.isfinite(share)
    if bad.mean() > _MOST_BAD:
        raise ImageError(
            f"{bad.mean():.1%} of the pixels are bad, wanted at most {_MOST_BAD:.0%}: is a part in the way?"
        )
    return bad


def _surroundings(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of the surroundings of each pixel, [H, W]: that of blocks, interpolated."""
    height, width = values.shape
    rows, columns = (max(1, round(side / _BLOCK)) for side in (height, width))
    medians = [
        [float(np.median(block)) for block in np.array_split(band, columns, axis=1)]
        for band in np.array_split(values, rows, axis=0)
    ]
    return np.asarray(cv2.resize(np.asarray(medians), (width, height), interpolation=cv2.INTER_LINEAR))


def _measured(
    maps: CorrectionMaps, held_out: Sequence[Path], reading: FileReading | None, like: Image
) -> CorrectionMaps:
    """The maps with the non-uniformity that is left of flat images that they were not made from."""
    total = np.zeros(maps.bad.shape)
    for path in held_out:
        total += apply(_read(path, reading, like), maps)[:, :, 0]
    mean = total / len(held_out)
    left = float(mean.std() / max(abs(mean.mean() - maps.base), 1e-9))
    return replace(maps, about=maps.about.model_copy(update={"non_uniformity": round(left, 6)}))


def _by(image: NDArray[Any]) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"
