"""Signed distances to simple shapes, negative inside. Parts drawn with them have smooth edges at any size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from agent.sources.simulator.drawing import Float

Grid = tuple[Float, Float]

# Strokes of an engraver's single-line letters on a grid 2 wide and 4 high, y down.
LETTERS: dict[str, tuple[tuple[tuple[int, int], ...], ...]] = {
    "I": (((1, 0), (1, 4)),),
    "N": (((0, 4), (0, 0), (2, 4), (2, 0)),),
    "S": (((2, 0), (0, 0), (0, 2), (2, 2), (2, 4), (0, 4)),),
    "2": (((0, 0), (2, 0), (2, 2), (0, 2), (0, 4), (2, 4)),),
    "0": (((0, 0), (2, 0), (2, 4), (0, 4), (0, 0)),),
    "4": (((0, 0), (0, 2), (2, 2)), ((2, 0), (2, 4))),
}


def grid(size: int, nominal: float) -> Grid:
    """Coordinates (x, y) of pixel centres, [size, size] each, in nominal pixels from the middle."""
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(nominal / size) - np.float32(
        nominal / 2.0
    )
    x, y = np.meshgrid(axis, axis)
    return x, y


def box(at: Grid, x: float, y: float, half_width: float, half_height: float, corner: float) -> Float:
    """Distance to a rectangle with rounded corners about (x, y)."""
    over_x = np.abs(at[0] - x) - (half_width - corner)
    over_y = np.abs(at[1] - y) - (half_height - corner)
    outside = np.hypot(np.maximum(over_x, 0.0), np.maximum(over_y, 0.0))
    return np.asarray(outside + np.minimum(np.maximum(over_x, over_y), 0.0) - corner, np.float32)


def circle(at: Grid, x: float, y: float, radius: float) -> Float:
    """Distance to a circle about (x, y)."""
    return np.asarray(np.hypot(at[0] - x, at[1] - y) - radius, np.float32)


def segment(at: Grid, start: tuple[float, float], end: tuple[float, float]) -> Float:
    """Distance to a straight line between two points, ≥ 0."""
    run_x, run_y = end[0] - start[0], end[1] - start[1]
    along = ((at[0] - start[0]) * run_x + (at[1] - start[1]) * run_y) / (run_x**2 + run_y**2)
    along = np.clip(along, 0.0, 1.0)
    return np.asarray(np.hypot(at[0] - start[0] - along * run_x, at[1] - start[1] - along * run_y), np.float32)


def window(at: Grid, left: float, right: float, top: float, bottom: float) -> tuple[slice, slice]:
    """The rows and columns of a grid whose pixel centres lie between these coordinates."""
    columns, rows = np.searchsorted(at[0][0], [left, right]), np.searchsorted(at[1][:, 0], [top, bottom])
    return slice(*rows), slice(*columns)


def lettering(at: Grid, text: str, left: float, top: float, height: float, reach: float) -> Float:
    """Distance to the strokes of a text whose upper left corner is (left, top); `LETTERS` has the letters.

    May be infinite beyond `reach` nominal pixels: a stroke is small, and computing every pixel for each takes long.
    """
    unit = height / 4.0
    distance = np.full(at[0].shape, np.inf, np.float32)
    for position, letter in enumerate(text):
        origin = left + position * unit * 3.2
        for stroke in LETTERS.get(letter, ()):
            corners = [(origin + x * unit, top + y * unit) for x, y in stroke]
            for start, end in pairwise(corners):
                xs, ys = sorted((start[0], end[0])), sorted((start[1], end[1]))
                near = window(at, xs[0] - reach, xs[1] + reach, ys[0] - reach, ys[1] + reach)
                distance[near] = np.minimum(distance[near], segment((at[0][near], at[1][near]), start, end))
    return distance


def ramp(distance: Float, width: float) -> Float:
    """Rise from 0 at the outline to 1 at `width` inside of it: a chamfer."""
    return np.asarray(np.clip(-distance / width, 0.0, 1.0), np.float32)


def cover(distance: Float, softness: float = 1.0) -> Float:
    """Share of each pixel inside the outline, 0..1; `softness` is the width of the transition, nominal pixels."""
    return np.asarray(np.clip(0.5 - distance / softness, 0.0, 1.0), np.float32)
