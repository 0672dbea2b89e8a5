"""The part of the X-ray line: an aluminium housing, imaged in transmission by a 16-bit flat detector.

A thickness map goes through Beer–Lambert attenuation, the blur of focal spot and scintillator, scatter, Poisson noise
and the detector's gains and offsets. Lengths are in pixels of a frame of 512 (0.25 mm each), thickness in millimetres.
"""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

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
    wander,
)
from agent.sources.simulator.scene import NOMINAL_PIXELS, Defect, Pose, Scene

# Aluminium at an effective 75 keV, a filtered 120 kV tube.
ATTENUATION_PER_MM = 0.058
MM_PER_PIXEL = 0.25
SCATTER_SHARE = 0.12

# Photons that a pixel counts without a part in the beam, and gray levels for each photon.
OPEN_BEAM_PHOTONS = 14_000.0
LEVELS_PER_PHOTON = 3.7
DETECTOR_NOISE_LEVELS = 14.0
OFFSET_LEVELS = 520.0

CORNER_BOSSES = ((-150.0, -125.0), (150.0, -125.0), (-150.0, 125.0), (150.0, 125.0))
BOSS_RADIUS, BOSS_BORE_RADIUS, BOSS_MM = 27.0, 11.5, 24.0
SEAT_RADIUS, SEAT_BORE_RADIUS, SEAT_MM = 74.0, 44.0, 20.0
FLOOR_MM, WALL_MM, RIB_MM, PAD_MM = 7.0, 26.0, 15.0, 12.0
WALL_PIXELS = 20.0


class Casting(Scene):
    """A housing of cast aluminium in front of an X-ray detector."""

    kinds: ClassVar[tuple[str, ...]] = ("void", "shrinkage", "foreign_object", "missing_hole", "crack")

    def __init__(self, size: int) -> None:
        super().__init__(size)
        # The part and its detector are the same for every seed, so a model trained on one seed can inspect any other.
        rng = np.random.default_rng(16_384)
        self._at = shapes.grid(size, NOMINAL_PIXELS)
        self._thickness = self._housing(self._at)
        self._cast_skin = normalised(self.blur(noise_bank(rng, size), 2.5)) * np.float32(0.10)
        self._beam = _beam(self._at)
        self._noise = noise_bank(rng, size)
        self._gain, self._offset = _detector(rng, size)
        self._positions = self._even_metal()

    def draw_pose(self, rng: np.random.Generator) -> Pose:
        """Draw where a casting lies: within 5 pixels and 0.75 degrees of the middle, as the fixture holds it."""
        x, y = np.clip(rng.normal(0.0, 2.5, 2), -5.0, 5.0) * self.scale
        degrees = float(np.clip(rng.normal(0.0, 0.5), -0.75, 0.75))
        skin_x, skin_y = (int(offset) for offset in rng.integers(0, BANK_MARGIN, 2))
        return Pose(float(x), float(y), degrees, float(rng.normal(1.0, 0.008)), (skin_x, skin_y, 0, 0))

    def compose(self, pose: Pose, defect: Defect | None) -> Float:
        """Put the casting into the beam: the share of the beam that reaches the detector [H, W], with scatter."""
        skin = cut(self._cast_skin, self.size, pose.texture[0], pose.texture[1])
        thickness = self._thickness * (1.0 + np.float32(0.06) * skin)
        if defect is not None:
            thickness = np.maximum(thickness + defect.add, 0.0)
        through = cv2.exp(self.place(thickness, pose) * np.float32(-ATTENUATION_PER_MM))
        return np.asarray(self._scattered(self.blur(through, 0.9)) * np.float32(pose.level), np.float32)

    def expose(self, signal: Float, rng: np.random.Generator) -> Image:
        """Take one image [H, W, 1] uint16: photons with their noise, gains and offsets of the pixels."""
        photons, noise = self._work
        np.multiply(signal, self._beam, out=photons)
        np.sqrt(photons + np.float32((DETECTOR_NOISE_LEVELS / LEVELS_PER_PHOTON) ** 2), out=noise)
        noise *= cut(self._noise, self.size, *(int(offset) for offset in rng.integers(0, BANK_MARGIN, 2)))
        photons += noise
        photons *= self._gain
        photons += self._offset
        return np.clip(photons, 0.0, 65_535.0, out=photons).astype(np.uint16)[:, :, None]

    def contrast(self, defect: Defect) -> float:
        """Median relative change of the transmitted signal over the defect, before blur and scatter."""
        change = np.maximum(self._thickness + defect.add, 0.0) - self._thickness
        inside = np.abs(np.exp(-ATTENUATION_PER_MM * change) - 1.0)[defect.mask > 0.5]
        return float(np.median(inside)) if inside.size else 0.0

    def draw_defect(self, kind: str, rng: np.random.Generator) -> Defect:
        """Draw a defect of moderate to high contrast."""
        draw = {
            "void": self._void,
            "shrinkage": self._shrinkage,
            "foreign_object": self._foreign_object,
            "missing_hole": self._missing_hole,
            "crack": self._crack,
        }
        return draw[kind](rng)

    def _void(self, rng: np.random.Generator) -> Defect:
        """A round gas pore, sometimes with smaller ones around it."""
        x, y = self._random_position(rng)
        radius = rng.uniform(8.0, 13.0)
        air = self._bubble(x, y, radius)
        for _ in range(int(rng.integers(0, 4))):
            angle, away = rng.uniform(0.0, 2.0 * np.pi), radius * rng.uniform(1.4, 2.6)
            pore = self._bubble(x + away * np.cos(angle), y + away * np.sin(angle), radius * rng.uniform(0.3, 0.6))
            air = np.maximum(air, pore)
        air = np.minimum(air, 0.8 * self._thickness)
        return Defect("void", np.asarray(air > 0.3 * MM_PER_PIXEL * radius, np.float32), -air)

    def _shrinkage(self, rng: np.random.Generator) -> Defect:
        """A spongy region of many small irregular pores."""
        x, y = self._random_position(rng)
        squared = (self._at[0] - x) ** 2 + (self._at[1] - y) ** 2
        envelope = np.exp(-squared / (2.0 * rng.uniform(11.0, 18.0) ** 2)).astype(np.float32)
        grain = normalised(self.blur(cut(self._noise, self.size, *map(int, rng.integers(0, BANK_MARGIN, 2))), 2.6))
        sponge = np.clip(grain + 2.2 * envelope - 1.0, 0.0, 2.0) * envelope
        air = np.minimum(sponge * np.float32(rng.uniform(3.2, 5.0)), 0.7 * self._thickness)
        return Defect("shrinkage", np.asarray(air > 1.0, np.float32), -np.asarray(air, np.float32))

    def _foreign_object(self, rng: np.random.Generator) -> Defect:
        """A steel splinter: 0.6 to 1.4 mm of it attenuate as much as 5 to 11 mm of aluminium."""
        x, y = self._random_position(rng)
        at = (self._pixel(x), self._pixel(y))
        shape = polygon(
            self._thickness.shape, blob_outline(rng, *at, self.pixels(rng.uniform(6.5, 11.0)), 0.3, corners=9)
        )
        return Defect("foreign_object", shape, shape * np.float32(rng.uniform(5.0, 11.0)))

    def _missing_hole(self, rng: np.random.Generator) -> Defect:
        """A screw boss that was never drilled."""
        x, y = CORNER_BOSSES[int(rng.integers(len(CORNER_BOSSES)))]
        plug = shapes.cover(shapes.circle(self._at, x, y, BOSS_BORE_RADIUS + 1.0), 1.5)
        return Defect("missing_hole", plug, np.maximum(plug * BOSS_MM - self._thickness * (plug > 0.0), 0.0))

    def _crack(self, rng: np.random.Generator) -> Defect:
        x, y = self._random_position(rng)
        gap = self.empty()
        length = self.pixels(rng.uniform(60.0, 130.0))
        draw_line(gap, wander(rng, self._pixel(x), self._pixel(y), length, 1.1), self.pixels(rng.uniform(3.0, 4.8)))
        inside = np.asarray(gap * np.clip(self._thickness / FLOOR_MM, 0.0, 1.0), np.float32)
        air = np.minimum(inside * np.float32(rng.uniform(4.0, 6.5)), 0.8 * self._thickness)
        return Defect("crack", inside, -air)

    def _bubble(self, x: float, y: float, radius: float) -> Float:
        """The length of the beam inside a sphere, mm: 2 · √(r² − d²)."""
        squared = (self._at[0] - x) ** 2 + (self._at[1] - y) ** 2
        return np.asarray(2.0 * MM_PER_PIXEL * np.sqrt(np.maximum(radius**2 - squared, 0.0)), np.float32)

    def _even_metal(self) -> NDArray[np.intp]:
        """Positions [N, 2] (row, column) for defects: even metal that is well exposed, not walls seen edge-on."""
        around = np.ones((3, 3), np.uint8)
        reach = max(1, round(self.pixels(6.0)))
        thinnest = cv2.erode(self._thickness, around, iterations=reach)
        thickest = cv2.dilate(self._thickness, around, iterations=reach)
        return np.argwhere((thinnest > FLOOR_MM - 0.5) & (thickest < SEAT_MM + 1.0) & (thickest - thinnest < 1.0))

    def _random_position(self, rng: np.random.Generator) -> tuple[float, float]:
        """A random position (x, y) inside the metal, nominal pixels from the middle."""
        row, column = self._positions[int(rng.integers(len(self._positions)))]
        return float(self._at[0][row, column]), float(self._at[1][row, column])

    def _pixel(self, nominal: float) -> float:
        return (nominal + NOMINAL_PIXELS / 2.0) * self.scale - 0.5

    def _housing(self, at: shapes.Grid) -> Float:
        """Thickness of the housing along the beam [H, W], mm."""
        outline = shapes.box(at, 0, 0, 192, 166, 42)
        inner = shapes.box(at, 0, 0, 192 - WALL_PIXELS, 166 - WALL_PIXELS, 26)
        layers = [
            FLOOR_MM * shapes.cover(outline, 2.0),
            WALL_MM * np.minimum(shapes.cover(outline, 5.0), 1.0 - shapes.cover(inner, 5.0)),
            PAD_MM * shapes.cover(shapes.box(at, -92, 62, 30, 24, 6), 3.0),
            PAD_MM * shapes.cover(shapes.box(at, 96, -66, 22, 30, 6), 3.0),
            *(RIB_MM * shapes.cover(rib - 7.0, 4.0) * shapes.cover(outline, 2.0) for rib in _ribs(at)),
            SEAT_MM * shapes.cover(shapes.circle(at, 0, 0, SEAT_RADIUS), 5.0),
            *(BOSS_MM * shapes.cover(shapes.circle(at, x, y, BOSS_RADIUS), 4.0) for x, y in CORNER_BOSSES),
        ]
        metal = np.maximum.reduce(layers)
        metal -= 6.0 * shapes.cover(shapes.circle(at, 0, 0, 58.0), 1.5)
        for x, y, radius in [(0.0, 0.0, SEAT_BORE_RADIUS), *((x, y, BOSS_BORE_RADIUS) for x, y in CORNER_BOSSES)]:
            metal *= 1.0 - shapes.cover(shapes.circle(at, x, y, radius), 1.5)
        return np.asarray(metal, np.float32)

    def _scattered(self, through: Float) -> Float:
        """Add the radiation that the part scatters; it is so blurred that an eighth of the resolution is enough."""
        small = cv2.resize(through, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
        haze = cv2.resize(
            self.blur(np.asarray(small, np.float32), 5.0), through.shape[::-1], interpolation=cv2.INTER_LINEAR
        )
        return np.asarray(cv2.addWeighted(through, 1.0 - SCATTER_SHARE, haze, SCATTER_SHARE, 0.0), np.float32)


def _ribs(at: shapes.Grid) -> list[Float]:
    """Distances to the ribs, which run from the bearing seat to the walls and into two corners."""
    ends = [(0.0, -160.0), (0.0, 160.0), (-185.0, 0.0), (185.0, 0.0), (-150.0, -125.0), (150.0, 125.0)]
    return [shapes.segment(at, (0.0, 0.0), end) for end in ends]


def _beam(at: shapes.Grid) -> Float:
    """Photons per pixel without a part [H, W]: the heel effect dims one side, distance the corners."""
    heel = 1.0 - 0.0003 * at[1] - 0.08 * (at[1] / 256.0) ** 2
    return np.asarray(OPEN_BEAM_PHOTONS * heel * (1.0 - 0.06 * (at[0] ** 2 + at[1] ** 2) / 362.0**2), np.float32)


def _detector(rng: np.random.Generator, size: int) -> tuple[Float, Float]:
    """Gain and offset of every pixel, [H, W] each, as an imperfect flat-field correction leaves them."""
    columns = rng.normal(0.0, 0.0015, (1, size))
    gain = LEVELS_PER_PHOTON * (1.0 + rng.normal(0.0, 0.004, (size, size)) + columns)
    offset = OFFSET_LEVELS + rng.normal(0.0, 6.0, (size, size)) + rng.normal(0.0, 5.0, (size, 1))
    return gain.astype(np.float32), offset.astype(np.float32)
