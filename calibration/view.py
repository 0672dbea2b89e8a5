"""What a camera sees, reduced to a few thousand pixels: where it looks, how that matches, how fine its detail is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from calibration.image_measures import Pixels, sampled_pixels
from calibration.record import Range, ViewReference

Gray = NDArray[np.float32]

# Longest side of the reduced picture, pixels. An edge that a lens has lost is lost here too; noise is averaged away.
_FINE_PIXELS = 128

# Pictures of a window that its view is taken from: 4 MB, and a median within a few per cent of that of all.
_MOST_KEPT = 256

# Structure finer than this many pixels of the view is noise and texture; it only blurs the peak of the correlation.
_SMOOTHING_PIXELS = 1.0

# Median of the square of a standard normal variable.
_MEDIAN_OF_NORMAL_SQUARE = 0.4549


@dataclass(frozen=True, slots=True)
class Glance:
    """One picture at a glance."""

    view: Gray
    """The picture, gray, at most 64 pixels a side, share of full scale [h, w]."""
    level: float
    """Mean brightness, share of full scale."""
    detail: float
    """Energy of fine structure over that of coarse structure; a lens out of focus takes the fine one away."""
    edges: float
    """The part of `detail` that stands out from noise and even texture, which noise does not hide; may fall below 0."""
    structure: float
    """Energy of coarse structure, squared levels; an empty place has little."""
    sample: Pixels
    """About 4,096 pixels as they came, always the same ones: to tell whether anything moved."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a view lies over another."""

    shift: float
    """How far it is shifted, share of the longer side."""
    match: float
    """Correlation of what both show once the shift is undone, -1 to 1."""
    match_in_place: float
    """Correlation as they lie, -1 to 1."""
    contrast: float
    """Contrast of what both show over that of the reference: 0.5 under half the light."""


def glance(picture: Pixels) -> Glance:
    """Take a glance at a picture [H, W, C], uint8 or uint16: a third of a millisecond at 256 × 256. Pure."""
    fine = _reduced(picture)
    view = _halved(fine)
    curvature, coarse = _curvature(fine), _energy(_curvature(_halved(view)))
    energy, scale = _energy(curvature), max(coarse, float(np.finfo(np.float32).tiny))
    return Glance(
        view=view,
        level=float(view.mean()),
        detail=energy / scale,
        edges=(energy - _even_energy(curvature)) / scale,
        structure=coarse,
        sample=sampled_pixels(picture),
    )


class Aligner:
    """Aligns views with one that stays the same, by phase correlation (Kuglin and Hines 1975)."""

    def __init__(self, reference: Gray) -> None:
        """Args: reference: a view [h, w]."""
        self._reference = reference
        height, width = reference.shape
        # The edges fade out: what leaves the picture on one side does not come in on the other.
        self._taper = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)
        rows, columns = fft.fftfreq(height)[:, None], fft.rfftfreq(width)[None, :]
        low_pass = np.exp(-2.0 * (np.pi * _SMOOTHING_PIXELS) ** 2 * (rows**2 + columns**2))
        self._against = np.asarray(np.conj(self._spectrum(reference)) * low_pass, np.complex64)

    def align(self, view: Gray, *, enough: float = 1.0) -> Alignment:
        """Align a view [h, w] of the same shape.

        `enough` is a correlation: no shift is looked for in a view that matches as well as that where it lies.
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
        # Half whitened: wholly whitened, noise decides; not at all, the broadest shape in the picture does.
        cross /= np.sqrt(np.abs(cross)) + np.float32(1e-12)
        peaks = fft.irfft2(cross, s=view.shape)
        row, column = np.unravel_index(int(np.argmax(peaks)), peaks.shape)
        return _signed(int(row), view.shape[0]), _signed(int(column), view.shape[1])

    def _spectrum(self, view: Gray) -> NDArray[np.complex64]:
        return np.asarray(fft.rfft2((view - view.mean()) * self._taper), np.complex64)


class ViewHistory:
    """The views of a window: all of a short one, an even share of a long one."""

    def __init__(self) -> None:
        self._kept: list[Glance] = []
        self._every, self._seen = 1, 0

    def add(self, picture: Pixels) -> None:
        """Take in one more picture; all are of one shape."""
        if self._seen % self._every == 0:
            self._kept.append(glance(picture))
        self._seen += 1
        if len(self._kept) > _MOST_KEPT:
            self._kept = self._kept[::2]
            self._every *= 2

    def reference(self, *, longest_repeat: int) -> ViewReference | None:
        """Return what the camera usually sees; None before the first picture."""
        if not self._kept:
            return None
        picture = np.asarray(np.median([each.view for each in self._kept], axis=0), np.float32)
        aligner = Aligner(picture)
        aligned = [aligner.align(each.view) for each in self._kept]
        return ViewReference(
            picture=picture,
            shift=range_of([each.shift for each in aligned]),
            match=range_of([each.match_in_place for each in aligned]),
            detail=range_of([each.detail for each in self._kept]),
            edges=range_of([each.edges for each in self._kept]),
            structure=range_of([each.structure for each in self._kept]),
            longest_repeat=longest_repeat,
        )


def range_of(values: list[float]) -> Range:
    """Return 1 %, 50 % and 99 % of what a measure took; all 0 where it took nothing.

    >>> range_of([float(value) for value in range(101)])
    Range(low=1.0, middle=50.0, high=99.0)
    """
    low, middle, high = np.quantile(values, [0.01, 0.5, 0.99]) if len(values) else (0.0, 0.0, 0.0)
    return Range(low=float(low), middle=float(middle), high=float(high))


def _reduced(picture: Pixels) -> Gray:
    """Average to at most `_FINE_PIXELS` a side and over the channels, share of full scale."""
    height, width, channels = picture.shape
    step = max(1, min(-(-max(height, width) // _FINE_PIXELS), height, width))
    rows, columns = height // step, width // step
    cut = picture[: rows * step, : columns * step]
    # Slices are added whole: five times as fast as a mean over two axes.
    lines = _sum_of(cut[offset::step].reshape(rows, -1) for offset in range(step))
    cells = _sum_of(lines[:, offset :: step * channels] for offset in range(step * channels))
    return np.asarray(cells * np.float32(1.0 / (np.iinfo(picture.dtype).max * step * step * channels)), np.float32)


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
    """The discrete Laplacian, without the outermost pixels."""
    if min(gray.shape) < 3:
        return np.zeros((1, 1), np.float32)
    inner = gray[1:-1, 1:-1]
    return np.asarray(gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * inner, np.float32)


def _energy(curvature: Gray) -> float:
    return float(np.vdot(curvature, curvature)) / curvature.size


def _even_energy(curvature: Gray) -> float:
    """Mean square that the curvature would have, were it everywhere what it is in most places: normal, like noise."""
    return float(np.median(curvature[::3, ::3] ** 2)) / _MEDIAN_OF_NORMAL_SQUARE


def _signed(place: int, size: int) -> int:
    """The shift that a place in a cyclic correlation means: the far half is backwards."""
    return place - size if place > size // 2 else place


def _overlap(view: Gray, reference: Gray, down: int, right: int) -> tuple[Gray, Gray]:
    """Cut out what both show where `view` is `reference`, moved down and right."""
    height, width = view.shape
    rows, columns = slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right))
    back = slice(max(0, -down), height + min(0, -down)), slice(max(0, -right), width + min(0, -right))
    return view[rows, columns], reference[back]


def _compare(one: Gray, other: Gray) -> tuple[float, float]:
    """Pearson's correlation, 0 where one of the two is flat; and the slope of `one` over `other`."""
    one, other = one - one.mean(), other - other.mean()
    together, energy = float(np.vdot(one, other)), float(np.vdot(other, other))
    scale = float(np.sqrt(np.vdot(one, one) * energy))
    return (together / scale, together / energy) if scale > 0.0 else (0.0, 0.0)
