"""The view of a camera, reduced to a few thousand pixels: its shift, its match with a reference and its fine detail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from calibration.arrays import Arrays, stacked
from calibration.camera.image_measures import Pixels, sampled_pixels
from calibration.camera.references import Range, ViewReference

Gray = NDArray[np.float32]

# Longest side of the reduced image, pixels: an edge blurred by the lens stays blurred, and noise averages out.
_FINE_PIXELS = 128

# Images of a window that its view is computed from: 4 MB, and a median within a few per cent of that of all.
_MOST_KEPT = 256

# Structure finer than this many pixels of the view is noise and texture, which only broadens the correlation peak.
_SMOOTHING_PIXELS = 1.0

# Median of the square of a standard normal variable.
_MEDIAN_OF_NORMAL_SQUARE = 0.4549


@dataclass(frozen=True, slots=True)
class Glance:
    """The features of one image by which camera faults are found."""

    view: Gray
    """The image, gray, at most 64 pixels a side, share of full scale [h, w]."""
    level: float
    """Mean brightness, share of full scale."""
    detail: float
    """Energy of fine structure over that of coarse structure; defocus removes the fine structure."""
    edges: float
    """The part of `detail` above the level of noise and uniform texture, so noise does not hide it; may be below 0."""
    structure: float
    """Energy of coarse structure, squared levels; an empty scene has little."""
    sample: Pixels
    """About 4,096 pixels, unchanged and always at the same places, to detect whether anything moved."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a view is aligned with the reference."""

    shift: float
    """Distance by which it is shifted, share of the longer side."""
    match: float
    """Correlation of the overlap once the shift is undone, -1 to 1."""
    match_in_place: float
    """Correlation without undoing the shift, -1 to 1."""
    contrast: float
    """Contrast of the overlap over that of the reference: 0.5 under half the light."""


def glance(image: Pixels) -> Glance:
    """Measure an image [H, W, C], uint8 or uint16, in a third of a millisecond at 256 × 256; keeps no reference."""
    fine = _reduced(image)
    view = _halved(fine)
    curvature, coarse = _curvature(fine), _energy(_curvature(_halved(view)))
    energy, scale = _energy(curvature), max(coarse, float(np.finfo(np.float32).tiny))
    return Glance(
        view=view,
        level=float(view.mean()),
        detail=energy / scale,
        edges=(energy - _even_energy(curvature)) / scale,
        structure=coarse,
        sample=sampled_pixels(image),
    )


class Aligner:
    """Aligns views with a fixed reference by phase correlation (Kuglin and Hines 1975)."""

    def __init__(self, reference: Gray) -> None:
        """Args: reference: a view, float32 [h, w]."""
        self._reference = reference
        height, width = reference.shape
        # A taper to the edges, since the correlation is cyclic: content that leaves on one side must not enter on the
        # other.
        self._taper = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)
        rows, columns = fft.fftfreq(height)[:, None], fft.rfftfreq(width)[None, :]
        low_pass = np.exp(-2.0 * (np.pi * _SMOOTHING_PIXELS) ** 2 * (rows**2 + columns**2))
        self._against = np.asarray(np.conj(self._spectrum(reference)) * low_pass, np.complex64)

    def align(self, view: Gray, *, enough: float = 1.0) -> Alignment:
        """Align a view, float32 [h, w] of the reference's shape.

        No shift is searched for if the view already correlates with the reference by `enough` or more.
        """
        in_place, contrast = _compare(view, self._reference)
        if in_place >= enough:
            return Alignment(0.0, in_place, in_place, contrast)
        down, right = self._shift(view)
        match = in_place
        if (down, right) != (0, 0):
            match, contrast = _compare(*_overlap(view, self._reference, down, right))
        return Alignment(float(np.hypot(down, right)) / max(view.shape), match, in_place, contrast)

    def _shift(self, view: Gray) -> tuple[int, int]:
        cross = self._spectrum(view) * self._against
        # Half whitened: with full whitening noise would decide, with none the broadest shape in the image.
        cross /= np.sqrt(np.abs(cross)) + np.float32(1e-12)
        peaks = fft.irfft2(cross, s=view.shape)
        row, column = np.unravel_index(int(np.argmax(peaks)), peaks.shape)
        return _signed(int(row), view.shape[0]), _signed(int(column), view.shape[1])

    def _spectrum(self, view: Gray) -> NDArray[np.complex64]:
        return np.asarray(fft.rfft2((view - view.mean()) * self._taper), np.complex64)


class ViewHistory:
    """The views of a window: all of a short one, every n-th of a long one."""

    def __init__(self) -> None:
        self._kept: list[Glance] = []
        self._every, self._seen = 1, 0

    def add(self, image: Pixels) -> None:
        """Add one more image [H, W, C]; all have the same shape."""
        if self._seen % self._every == 0:
            self._kept.append(glance(image))
        self._seen += 1
        if len(self._kept) > _MOST_KEPT:
            self._kept = self._kept[::2]
            self._every *= 2

    def arrays(self) -> Arrays:
        """Return everything, for `restore`."""
        numbers = [(each.level, each.detail, each.edges, each.structure) for each in self._kept]
        return {
            "views": stacked([each.view for each in self._kept]),
            "numbers": np.array(numbers, np.float64).reshape(-1, 4),
            "counts": np.array((self._every, self._seen)),
        }

    def restore(self, arrays: Arrays) -> None:
        """Continue where another one was when it returned these `arrays`."""
        unused = np.zeros(0, np.uint8)
        entries = zip(arrays["views"], arrays["numbers"].tolist(), strict=True)
        self._kept = [
            Glance(view, level, detail, edges, structure, unused) for view, (level, detail, edges, structure) in entries
        ]
        self._every, self._seen = (int(count) for count in arrays["counts"])

    def reference(self, *, longest_repeat: int) -> ViewReference | None:
        """Return the usual view and its variation; None before the first image."""
        if not self._kept:
            return None
        image = np.asarray(np.median([each.view for each in self._kept], axis=0), np.float32)
        aligner = Aligner(image)
        aligned = [aligner.align(each.view) for each in self._kept]
        return ViewReference(
            image=image,
            shift=range_of([each.shift for each in aligned]),
            match=range_of([each.match_in_place for each in aligned]),
            detail=range_of([each.detail for each in self._kept]),
            edges=range_of([each.edges for each in self._kept]),
            structure=range_of([each.structure for each in self._kept]),
            longest_repeat=longest_repeat,
        )


def range_of(values: list[float]) -> Range:
    """Return the 1 %, 50 % and 99 % quantiles of a measure; all 0 if there are no values.

    >>> range_of([float(value) for value in range(101)])
    Range(low=1.0, middle=50.0, high=99.0)
    """
    low, middle, high = np.quantile(values, [0.01, 0.5, 0.99]) if len(values) else (0.0, 0.0, 0.0)
    return Range(low=float(low), middle=float(middle), high=float(high))


def _reduced(image: Pixels) -> Gray:
    """Average to at most `_FINE_PIXELS` a side and over the channels, share of full scale."""
    height, width, channels = image.shape
    step = max(1, min(-(-max(height, width) // _FINE_PIXELS), height, width))
    rows, columns = height // step, width // step
    cut = image[: rows * step, : columns * step]
    # Adding whole slices is five times as fast as a mean over two axes.
    lines = _sum_of(cut[offset::step].reshape(rows, -1) for offset in range(step))
    cells = _sum_of(lines[:, offset :: step * channels] for offset in range(step * channels))
    return np.asarray(cells * np.float32(1.0 / (np.iinfo(image.dtype).max * step * step * channels)), np.float32)


def _sum_of(slices: Iterator[NDArray[Any]]) -> NDArray[np.uint32]:
    total = next(slices).astype(np.uint32)
    for each in slices:
        total += each
    return total


def _halved(fine: Gray) -> Gray:
    height, width = fine.shape[0] // 2 * 2, fine.shape[1] // 2 * 2
    if min(height, width) < 2:
        return fine
    even, odd = fine[:height:2, :width], fine[1:height:2, :width]
    rows = even + odd
    return np.asarray((rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25), np.float32)


def _curvature(gray: Gray) -> Gray:
    """Return the discrete Laplacian without the outermost pixels."""
    if min(gray.shape) < 3:
        return np.zeros((1, 1), np.float32)
    inner = gray[1:-1, 1:-1]
    return np.asarray(gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * inner, np.float32)


def _energy(curvature: Gray) -> float:
    return float(np.vdot(curvature, curvature)) / curvature.size


def _even_energy(curvature: Gray) -> float:
    """Mean square of the curvature if it were normal everywhere, like noise, estimated from its median."""
    return float(np.median(curvature[::3, ::3] ** 2)) / _MEDIAN_OF_NORMAL_SQUARE


def _signed(place: int, size: int) -> int:
    """Convert a place in a cyclic correlation into a shift: the upper half stands for negative shifts."""
    return place - size if place > size // 2 else place


def _overlap(view: Gray, reference: Gray, down: int, right: int) -> tuple[Gray, Gray]:
    """Cut out the overlap of both if `view` is `reference` moved down and right."""
    height, width = view.shape
    rows, columns = slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right))
    back = slice(max(0, -down), height + min(0, -down)), slice(max(0, -right), width + min(0, -right))
    return view[rows, columns], reference[back]


def _compare(one: Gray, other: Gray) -> tuple[float, float]:
    """Return Pearson's correlation, 0 if either is flat, and the slope of `one` over `other`."""
    one, other = one - one.mean(), other - other.mean()
    together, energy = float(np.vdot(one, other)), float(np.vdot(other, other))
    scale = float(np.sqrt(np.vdot(one, one) * energy))
    return (together / scale, together / energy) if scale > 0.0 else (0.0, 0.0)
