"""The optical camera's part: a milled plate with a turned boss, bolt holes and engraving on a dark belt, 8-bit gray.

The surface is a height map, lit by a lamp from the upper left (Lambert); brushed and turned textures, the gradient of
the light, vignetting, shot and read noise are added. Lengths are in pixels of a frame of 512.
"""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np

from agent.core.records import Image
from agent.sources.simulator import shapes
from agent.sources.simulator.drawing import (
    BANK_MARGIN,
    Float,
    blob_outline,
    cut,
    draw_line,
    noise_bank,
    normalised,
    polygon,
    streaks,
    wander,
)
from agent.sources.simulator.scene import NOMINAL_PIXELS, Defect, Pose, Scene

METAL = 0.56
BELT = 0.11
BRUSH_STRENGTH = 0.05
HOLE = 0.045
BOLT_HOLES = ((-135.0, -106.0), (135.0, -106.0), (-135.0, 106.0), (135.0, 106.0))
BOLT_RADIUS, COUNTERSINK_RADIUS = 14.0, 22.0
DOWEL_HOLES = ((-142.0, 0.0), (142.0, 0.0))
DOWEL_RADIUS = 8.0
# Distance from which on a peened dot is less than the smallest float32, nominal pixels.
DOT_REACH = 17.0
BORE_RADIUS, BOSS_RADIUS = 46.0, 92.0
LAMP = np.array([-0.50, -0.58, 0.64])

# A machine-vision camera with a full well of 10,000 electrons at 255: 39 electrons for each gray level.
ELECTRONS_PER_LEVEL = 39.0
READ_NOISE_LEVELS = 1.0
BLACK_LEVEL = 6.0


class Plate(Scene):
    """A milled plate on a conveyor belt."""

    kinds: ClassVar[tuple[str, ...]] = ("scratch", "dent", "missing_hole", "contamination", "edge_chip")

    def __init__(self, size: int) -> None:
        super().__init__(size)
        # The part and its lamp are the same for every seed, so a model trained on one seed can inspect any other.
        rng = np.random.default_rng(20_240)
        at = shapes.grid(size, NOMINAL_PIXELS)
        outline = np.maximum(shapes.box(at, 0, 0, 178, 150, 20), (at[0] - at[1] - 296.0) / np.float32(np.sqrt(2.0)))
        self._alpha = shapes.cover(outline, 1.5)
        self._brushed, self._solid = self._surfaces(at, outline)
        self._base = self._reflectance(at, outline, rng)
        self._shadow = self._drop_shadow()
        self._light = _illumination(at)
        self._streaks = streaks(rng, size, self.pixels(26.0), max(self.pixels(0.7), 0.4))
        self._belt = self._conveyor(rng)
        self._noise = noise_bank(rng, size)
        inner = cv2.erode(self._solid, np.ones((3, 3), np.uint8), iterations=max(1, round(self.pixels(8.0))))
        self._positions = np.argwhere((inner > 0.99) & (outline < -14.0))
        self._edges = np.argwhere(np.abs(outline) < max(1.0, 0.6 / self.scale))
        self._at = at

    def draw_pose(self, rng: np.random.Generator) -> Pose:
        """Draw where a plate lies: within 5 pixels and 0.9 degrees of the middle, as the guides hold it."""
        x, y = np.clip(rng.normal(0.0, 3.0, 2), -5.0, 5.0) * self.scale
        degrees = float(np.clip(rng.normal(0.0, 0.6), -0.9, 0.9))
        metal_x, metal_y, belt_x, belt_y = (int(offset) for offset in rng.integers(0, BANK_MARGIN, 4))
        level = float(rng.normal(1.0, 0.015))
        return Pose(float(x), float(y), degrees, level, (metal_x, metal_y, belt_x, belt_y))

    def compose(self, pose: Pose, defect: Defect | None) -> Float:
        """Put the plate on the belt: reflectance [H, W] under even light."""
        texture = cut(self._streaks, self.size, pose.texture[0], pose.texture[1])
        surface, brushed = self._base, self._brushed
        if defect is not None:
            surface, brushed = surface * (1.0 - defect.hide) + defect.add, brushed + defect.brushed
        surface = surface * (1.0 + brushed * texture)
        layers = np.asarray(cv2.merge([surface * self._alpha, self._alpha, self._shadow]), np.float32)
        metal, covered, shadow = cv2.split(self.place(layers, pose))
        belt = cut(self._belt, self.size, pose.texture[2], pose.texture[3]) * (1.0 - shadow)
        belt *= 1.0 - covered
        belt += metal
        belt *= np.float32(pose.level)
        return belt

    def expose(self, signal: Float, rng: np.random.Generator) -> Image:
        """Take one image [H, W, 1] uint8: light, shot and read noise."""
        levels, noise = self._work
        np.multiply(signal, self._light, out=levels)
        np.multiply(levels, np.float32(1.0 / ELECTRONS_PER_LEVEL), out=noise)
        noise += np.float32(READ_NOISE_LEVELS**2)
        np.sqrt(noise, out=noise)
        noise *= cut(self._noise, self.size, *(int(offset) for offset in rng.integers(0, BANK_MARGIN, 2)))
        levels += noise
        return np.asarray(cv2.convertScaleAbs(levels, alpha=1.0, beta=BLACK_LEVEL), np.uint8)[:, :, None]

    def contrast(self, defect: Defect) -> float:
        """Median relative change of the reflectance over the defect."""
        before = self._base * self._alpha + BELT * (1.0 - self._alpha)
        after = (self._base * (1.0 - defect.hide) + defect.add) * self._alpha + BELT * (1.0 - self._alpha)
        change = np.abs(after / before - 1.0)[defect.mask > 0.5]
        return float(np.median(change)) if change.size else 0.0

    def draw_defect(self, kind: str, rng: np.random.Generator) -> Defect:
        """Draw a defect of moderate to high contrast."""
        draw = {
            "scratch": self._scratch,
            "dent": self._dent,
            "missing_hole": self._missing_hole,
            "contamination": self._contamination,
            "edge_chip": self._edge_chip,
        }
        return draw[kind](rng)

    def _scratch(self, rng: np.random.Generator) -> Defect:
        core, burr = self.empty(), self.empty()
        thickness = self.pixels(rng.uniform(2.8, 4.8))
        points = wander(rng, *self._random_position(rng), self.pixels(rng.uniform(80.0, 180.0)), rng.uniform(0.1, 0.6))
        draw_line(core, points, thickness)
        draw_line(burr, points + 0.8 * thickness, thickness)
        strength = np.float32(rng.uniform(0.24, 0.40))
        core, burr = core * self._solid, burr * self._solid * (1.0 - core)
        return Defect("scratch", core, self.blur(strength * core - 0.55 * strength * burr, 0.6), self.empty())

    def _dent(self, rng: np.random.Generator) -> Defect:
        x, y = self._random_position(rng)
        radius = rng.uniform(12.0, 21.0)
        turn, squeeze = rng.uniform(0.0, np.pi), rng.uniform(0.65, 1.0)
        dx, dy = self._at[0] - self._nominal(x), self._at[1] - self._nominal(y)
        along, across = dx * np.cos(turn) + dy * np.sin(turn), (dy * np.cos(turn) - dx * np.sin(turn)) / squeeze
        reach = (along**2 + across**2) / radius**2
        crater = np.asarray(-radius * rng.uniform(0.42, 0.65) * np.exp(-3.0 * reach), np.float32)
        shade = _shade(crater, self.scale)
        shade = np.asarray(1.0 + (shade - 1.0) * self._solid, np.float32)
        mask = np.asarray((reach < 1.0) * self._solid, np.float32)
        return Defect("dent", mask, self._base * (shade - 1.0), self.empty())

    def _missing_hole(self, rng: np.random.Generator) -> Defect:
        x, y = BOLT_HOLES[int(rng.integers(len(BOLT_HOLES)))]
        disc = shapes.cover(shapes.circle(self._at, x, y, COUNTERSINK_RADIUS + 2.5), 1.5)
        plain = np.asarray(disc * METAL, np.float32)
        brushed = np.maximum(disc * np.float32(BRUSH_STRENGTH) - self._brushed, 0.0)
        return Defect("missing_hole", disc, plain, disc, brushed)

    def _contamination(self, rng: np.random.Generator) -> Defect:
        return self._oil(rng) if rng.random() < 0.5 else self._swarf(rng)

    def _oil(self, rng: np.random.Generator) -> Defect:
        x, y = self._random_position(rng)
        radius = self.pixels(rng.uniform(15.0, 28.0))
        body = polygon(self._base.shape, blob_outline(rng, x, y, radius, 0.22)) * self._solid
        film = self.blur(body, 1.5)
        glint = polygon(self._base.shape, blob_outline(rng, x - 0.35 * radius, y - 0.4 * radius, 0.16 * radius, 0.2))
        return Defect("contamination", body, self.blur(glint, 1.2) * 0.25, film * np.float32(rng.uniform(0.45, 0.7)))

    def _swarf(self, rng: np.random.Generator) -> Defect:
        chip, shadow = self.empty(), self.empty()
        thickness = self.pixels(rng.uniform(5.0, 8.5))
        points = wander(rng, *self._random_position(rng), self.pixels(rng.uniform(60.0, 120.0)), rng.uniform(3.0, 5.0))
        draw_line(chip, points, thickness)
        draw_line(shadow, points + 0.7 * thickness, thickness * 1.1)
        facets = 0.56 + 0.32 * np.sin(self._at[0] * 0.62 + self._at[1] * 0.48)
        shade = self.blur(shadow, 1.5) * (1.0 - chip) * np.float32(0.6) * self._alpha
        return Defect(
            "contamination", chip * self._alpha, np.asarray(chip * facets, np.float32), np.maximum(chip, shade)
        )

    def _edge_chip(self, rng: np.random.Generator) -> Defect:
        row, column = self._edges[int(rng.integers(len(self._edges)))]
        radius = self.pixels(rng.uniform(15.0, 25.0))
        gone = polygon(self._base.shape, blob_outline(rng, float(column), float(row), radius, 0.22, corners=13))
        through = polygon(
            self._base.shape, blob_outline(rng, float(column), float(row), 0.72 * radius, 0.25, corners=13)
        )
        grain = cut(self._noise, self.size, *(int(offset) for offset in rng.integers(0, BANK_MARGIN, 2)))
        facets = np.clip(0.34 + 0.9 * self.blur(grain, 2.0), 0.05, 0.9) * np.clip(gone - through, 0.0, 1.0)
        return Defect("edge_chip", gone * self._alpha, np.asarray(facets + gone * BELT * 0.6, np.float32), gone)

    def _random_position(self, rng: np.random.Generator) -> tuple[float, float]:
        """A random position (x, y) on flat metal, pixels."""
        row, column = self._positions[int(rng.integers(len(self._positions)))]
        return float(column), float(row)

    def _nominal(self, pixel: float) -> float:
        return (pixel + 0.5) / self.scale - NOMINAL_PIXELS / 2.0

    def _surfaces(self, at: shapes.Grid, outline: Float) -> tuple[Float, Float]:
        """How strongly the plate is brushed, and where it is metal without a hole (0..1): [H, W] each."""
        holes = [shapes.circle(at, 0, 0, BORE_RADIUS)]
        holes += [shapes.circle(at, x, y, COUNTERSINK_RADIUS) for x, y in BOLT_HOLES]
        holes += [shapes.circle(at, x, y, DOWEL_RADIUS + 2.0) for x, y in DOWEL_HOLES]
        holes += [_slot(at)]
        solid = np.minimum.reduce([self._alpha, *(1.0 - shapes.cover(hole) for hole in holes)])
        brushed = solid * (1.0 - shapes.cover(shapes.circle(at, 0, 0, BOSS_RADIUS))) * shapes.cover(outline + 7.0)
        return np.asarray(brushed * BRUSH_STRENGTH, np.float32), np.asarray(solid, np.float32)

    def _reflectance(self, at: shapes.Grid, outline: Float, rng: np.random.Generator) -> Float:
        """The plate under the lamp: relief, turned boss, engraving, holes; [H, W]."""
        height = _relief(at, outline)
        base = METAL * _shade(height, self.scale)
        base *= np.clip(1.0 + 0.012 * (height - self.blur(height, 12.0)), 0.7, 1.15)
        base *= 1.0 + _turned(at, rng) * shapes.cover(shapes.circle(at, 0, 0, BOSS_RADIUS - 4.0))
        for x, y, radius in [(0.0, 0.0, BORE_RADIUS), *((x, y, BOLT_RADIUS) for x, y in BOLT_HOLES)]:
            base = _drilled(base, at, x, y, radius)
        for x, y in DOWEL_HOLES:
            base = _drilled(base, at, x, y, DOWEL_RADIUS)
        return np.asarray(base, np.float32)

    def _drop_shadow(self) -> Float:
        shift = np.array([[1.0, 0.0, self.pixels(8.0)], [0.0, 1.0, self.pixels(10.0)]], np.float32)
        return self.blur(np.asarray(cv2.warpAffine(self._alpha, shift, (self.size, self.size)), np.float32), 8.0) * 0.65

    def _conveyor(self, rng: np.random.Generator) -> Float:
        """The belt [size + BANK_MARGIN, size + BANK_MARGIN]: woven rubber with stains."""
        axis = np.arange(self.size + BANK_MARGIN, dtype=np.float32) / np.float32(self.scale)
        weave = np.sin(axis * 0.9)[None, :] * np.sin(axis * 0.9)[:, None]
        grain = normalised(self.blur(noise_bank(rng, self.size), 0.8))
        stains = normalised(self.blur(noise_bank(rng, self.size), 14.0))
        return np.asarray(np.clip(BELT + 0.012 * weave + 0.010 * grain + 0.007 * stains, 0.03, 0.25), np.float32)


def _slot(at: shapes.Grid) -> Float:
    return shapes.box(at, 0, -121, 56, 10, 10)


def _relief(at: shapes.Grid, outline: Float) -> Float:
    """Height of the plate [H, W], pixels: chamfered edge, boss, countersinks, slot, engraving, dot-peened code."""
    height = 7.0 * shapes.ramp(outline, 7.0) + 5.0 * shapes.ramp(shapes.circle(at, 0, 0, BOSS_RADIUS), 5.0)
    height -= 5.0 * shapes.ramp(shapes.circle(at, 0, 0, BORE_RADIUS + 5.0), 5.0)
    for x, y in BOLT_HOLES:
        height -= 8.0 * shapes.ramp(shapes.circle(at, x, y, COUNTERSINK_RADIUS), 8.0)
    for x, y in DOWEL_HOLES:
        height -= 2.0 * shapes.ramp(shapes.circle(at, x, y, DOWEL_RADIUS + 2.0), 2.0)
    height -= 4.0 * shapes.ramp(_slot(at), 4.0)
    height -= 2.6 * shapes.cover(shapes.lettering(at, "INS 204", -96.0, 110.0, 22.0, reach=4.0) - 1.4, 3.0)
    return np.asarray(height - 1.8 * _code(at), np.float32)


def _code(at: shapes.Grid) -> Float:
    """A dot-peened data matrix, 10 by 10 [H, W]: solid left and lower border, the rest from the part number."""
    bits = np.random.default_rng(204).random((10, 10)) < 0.5
    bits[:, 0] = bits[-1, :] = True
    dots = np.zeros(at[0].shape, np.float32)
    for row, column in np.argwhere(bits):
        x, y = 62.0 + 4.2 * column, 102.0 + 4.2 * row
        near = shapes.window(at, x - DOT_REACH, x + DOT_REACH, y - DOT_REACH, y + DOT_REACH)
        squared = (at[0][near] - x) ** 2 + (at[1][near] - y) ** 2
        dots[near] += np.exp(-squared / (2.0 * 1.15**2))
    return dots


def _shade(height: Float, scale: float) -> Float:
    """Light that a relief reflects, 1.0 where it is flat (Lambert, with 40 % ambient light)."""
    slope_y, slope_x = np.gradient(height * np.float32(scale))
    facing = (LAMP[2] - LAMP[0] * slope_x - LAMP[1] * slope_y) / np.sqrt(1.0 + slope_x**2 + slope_y**2)
    return np.asarray(0.40 + 0.60 * np.maximum(facing, 0.0) / LAMP[2], np.float32)


def _turned(at: shapes.Grid, rng: np.random.Generator) -> Float:
    """Rings of the lathe on the boss, with the bow-tie highlight that they cause; relative, [H, W]."""
    radius = np.hypot(at[0], at[1])
    grooves = np.interp(radius, np.arange(0.0, 120.0, 0.8), rng.normal(0.0, 0.03, 150))
    highlight = np.cos(2.0 * (np.arctan2(at[1], at[0]) - np.arctan2(LAMP[0], -LAMP[1])))
    return np.asarray(grooves + 0.035 * np.sin(radius * 1.7) + 0.10 * highlight, np.float32)


def _drilled(base: Float, at: shapes.Grid, x: float, y: float, radius: float) -> Float:
    """Drill a hole: dark, with light on the wall that faces the lamp."""
    distance = shapes.circle(at, x, y, radius)
    facing = ((at[0] - x) * -LAMP[0] + (at[1] - y) * -LAMP[1]) / np.maximum(distance + radius, 1.0)
    wall = np.clip(1.0 + distance / (0.28 * radius), 0.0, 1.0) * np.clip(facing, 0.0, None)
    inside = shapes.cover(distance, 1.5)
    return np.asarray(base * (1.0 - inside) + inside * (HOLE + 0.28 * wall), np.float32)


def _illumination(at: shapes.Grid) -> Float:
    """Levels for a reflectance of 1.0: brighter towards the lamp, darker towards the corners (vignetting)."""
    gradient = 1.0 - 0.00042 * (at[0] * 0.65 + at[1] * 0.76)
    vignetting = 1.0 - 0.20 * (at[0] ** 2 + at[1] ** 2) / 362.0**2
    return np.asarray(255.0 * gradient * vignetting, np.float32)
