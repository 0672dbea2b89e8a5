"""The images of a window: rejects a frozen, black or saturated camera, and measures good images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import Arrays, of_prefix, with_prefix
from calibration.camera.image_measures import ImageMeasures, Pixels, measure_image, sampled_pixels
from calibration.camera.references import CameraReference
from calibration.camera.view import ViewHistory, range_of
from calibration.errors import CalibrationError, ImageEvidence

# Sensor noise alone changes several per cent of the pixels of every frame, even with 8 bits and good light.
LEAST_MOVED_SHARE = 0.003

# A frozen camera repeats nearly every image; a camera read faster than its frame rate repeats fewer.
_MOST_REPEATED = 0.9

# A run of one image over more than this share of the window is a camera that froze meanwhile.
_LONGEST_REPEATED = 0.5

# Black if 99 % of the pixels are below this share of full scale: 2 levels of 8 bits, 32 levels of a 12-bit sensor in 16
# bits.
BLACK_LEVEL_8, BLACK_LEVEL_16 = 2.5 / 255, 32.5 / 65_535

# The air beside an X-rayed part may saturate, but not three quarters of the image.
_MOST_SATURATED = 0.75

_Flags = NDArray[np.bool_]


class CameraHistory:
    """The measures of every image of a window."""

    def __init__(self) -> None:
        self._measures: list[ImageMeasures] = []
        self._moved: list[float] = []
        self._views = ViewHistory()
        self._sample: Pixels | None = None
        self._like: tuple[tuple[int, ...], np.dtype[np.uint8] | np.dtype[np.uint16]] | None = None

    def add(self, image: Pixels) -> None:
        """Measure one more image, uint8 or uint16 [H, W, C].

        Raises:
            CalibrationError: another type, or another size or depth than the images before.
        """
        like = (image.shape, image.dtype)
        if image.ndim != 3 or image.dtype not in (np.uint8, np.uint16):
            raise CalibrationError(f"image: got {image.dtype} {image.shape}, wanted uint8 or uint16 [H, W, C]")
        if self._like not in (None, like):
            raise CalibrationError(f"image: got {like[1]} {like[0]}, wanted {self._like[1]} {self._like[0]} as before")
        sample = sampled_pixels(image)
        if self._sample is not None:
            self._moved.append(float(np.mean(sample != self._sample)))
        self._like, self._sample = like, sample
        self._measures.append(measure_image(image))
        self._views.add(image)

    def arrays(self) -> Arrays:
        """Return everything, for `restore`."""
        levels = [(each.mean_level, each.high_level, each.saturated_share, each.sharpness) for each in self._measures]
        found: Arrays = {
            "checksums": np.array([each.checksum for each in self._measures], np.uint32),
            "levels": np.array(levels, np.float64).reshape(-1, 4),
            "moved": np.array(self._moved, np.float64),
            **with_prefix("views", self._views.arrays()),
        }
        if self._like is not None and self._sample is not None:
            found["shape"], found["sample"] = np.array(self._like[0]), self._sample
        return found

    def restore(self, arrays: Arrays) -> None:
        """Continue where another one was when it returned these `arrays`."""
        pairs = zip(arrays["checksums"].tolist(), arrays["levels"].tolist(), strict=True)
        self._measures = [ImageMeasures(checksum, *levels) for checksum, levels in pairs]
        self._moved = arrays["moved"].tolist()
        self._views.restore(of_prefix("views", arrays))
        if "sample" in arrays:
            self._sample = arrays["sample"]
            self._like = (tuple(arrays["shape"].tolist()), self._sample.dtype)

    def check(self, *, images: Sequence[ImageEvidence]) -> None:
        """Raise CalibrationError, with these images, if the camera is black, saturated or frozen."""
        fault = self._black() or self._saturated() or self._frozen()
        if fault is not None:
            raise CalibrationError(fault, images=images)

    def reference(self) -> CameraReference:
        """Return the ranges of every measure over the window."""
        height, width, channels = self._like[0] if self._like is not None else (0, 0, 0)
        return CameraReference(
            height=height,
            width=width,
            channels=channels,
            mean_level=range_of([each.mean_level for each in self._measures]),
            high_level=range_of([each.high_level for each in self._measures]),
            saturated_share=range_of([each.saturated_share for each in self._measures]),
            sharpness=range_of([each.sharpness for each in self._measures]),
            moved_share=range_of(self._moved),
            view=self._views.reference(longest_repeat=_longest_run(self._repeats())),
        )

    def _black(self) -> str | None:
        limit = BLACK_LEVEL_8 if self._like is None or self._like[1] == np.uint8 else BLACK_LEVEL_16
        black = float(np.mean([each.high_level < limit for each in self._measures])) if self._measures else 0.0
        return f"camera black? {black:.0%} of the images show no light, wanted good parts" if black > 0.5 else None

    def _saturated(self) -> str | None:
        share = float(np.median([each.saturated_share for each in self._measures])) if self._measures else 0.0
        if share <= _MOST_SATURATED:
            return None
        return f"camera saturated? {share:.0%} of the pixels are at full scale; reduce the light or the exposure time"

    def _frozen(self) -> str | None:
        same = self._repeats()
        if not same.size:
            return None
        longest = _longest_run(same)
        if same.mean() <= _MOST_REPEATED and longest <= _LONGEST_REPEATED * same.size:
            return None
        count = f"{int(same.sum())} of {len(self._measures)}"
        return f"camera frozen? {count} images repeat the previous one, wanted moving parts"

    def _repeats(self) -> _Flags:
        """Return for each image but the first whether it repeats the previous one: bool [N - 1]."""
        sums = np.array([each.checksum for each in self._measures])
        return np.asarray((sums[1:] == sums[:-1]) | (np.array(self._moved) < LEAST_MOVED_SHARE), np.bool_)


def _longest_run(flags: _Flags) -> int:
    breaks = np.flatnonzero(np.concatenate(([True], ~flags, [True])))
    return int(np.diff(breaks).max()) - 1
