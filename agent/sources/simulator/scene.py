"""Shared by the two simulated cameras: place a part, draw a defect into it, take an exposure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import cv2
import numpy as np

from agent.core.records import Image
from agent.sources.simulator.drawing import Float

# Scenes are designed for 512 pixels and scale with the size of the frame.
NOMINAL_PIXELS = 512.0


@dataclass(frozen=True, slots=True)
class Pose:
    """Position of a part, and the variation of its batch."""

    x: float
    """Shift to the right, pixels."""
    y: float
    """Shift down, pixels."""
    degrees: float
    """Rotation about the middle of the frame, degrees."""
    level: float
    """Brightness of the batch (camera) or dose of the tube (xray), around 1.0."""
    texture: tuple[int, int, int, int]
    """Offsets at which the textures of part and belt are cut from their banks, pixels."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect in the coordinates of the part, before the part is placed in the frame."""

    kind: str
    mask: Float
    """Where it is [H, W], 0..1."""
    add: Float
    """What it adds to the signal [H, W]: reflectance (camera) or millimetres of aluminium (xray)."""
    hide: Float = field(default_factory=lambda: np.zeros((1, 1), np.float32))
    """How far it covers the surface below it [H, W], 0..1; only some scenes use it."""
    brushed: Float = field(default_factory=lambda: np.zeros((1, 1), np.float32))
    """How much stronger the metal's texture is [H, W]; only some scenes use it."""


class Scene(ABC):
    """A kind of part with its camera. `compose` takes milliseconds and runs once per part, `expose` once per frame."""

    kinds: ClassVar[tuple[str, ...]]
    """The defects that this part can have."""
    vibration_pixels: float
    """Standard deviation of the shift from frame to frame, pixels."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.scale = size / NOMINAL_PIXELS
        self.vibration_pixels = 0.35 * self.scale
        # Each new array of a megabyte costs page faults: with buffers that are kept, a frame takes half the time.
        self._work = (self.empty(), self.empty())
        self._shaken = self.empty()

    @abstractmethod
    def draw_pose(self, rng: np.random.Generator) -> Pose:
        """Draw where a part lies."""

    @abstractmethod
    def draw_defect(self, kind: str, rng: np.random.Generator) -> Defect:
        """Draw a defect of this kind."""

    @abstractmethod
    def contrast(self, defect: Defect) -> float:
        """Median relative change of the signal over the defect, > 0."""

    @abstractmethod
    def compose(self, pose: Pose, defect: Defect | None) -> Float:
        """Place the part: the signal [H, W] before the light, dose and noise of a single exposure."""

    @abstractmethod
    def expose(self, signal: Float, rng: np.random.Generator) -> Image:
        """Take one image [H, W, 1] of the signal [H, W], with its noise."""

    def place(self, layer: Float, pose: Pose) -> Float:
        """Rotate and shift a layer [H, W] or [H, W, C] from the part's coordinates into the frame's."""
        middle = ((self.size - 1) / 2.0, (self.size - 1) / 2.0)
        matrix = cv2.getRotationMatrix2D(middle, pose.degrees, 1.0)
        matrix[:, 2] += np.array((pose.x, pose.y))
        return np.asarray(cv2.warpAffine(layer, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR), np.float32)

    def shake(self, layer: Float, x: float, y: float) -> Float:
        """Shift a layer [H, W] by a vibration of (x, y) pixels; the result is overwritten by the next call."""
        middle = ((self.size - 1) / 2.0 - x, (self.size - 1) / 2.0 - y)
        # Takes a third of the time of cv2.warpAffine.
        cv2.getRectSubPix(layer, (self.size, self.size), middle, self._shaken)
        return self._shaken

    def pixels(self, nominal: float) -> float:
        """A length for a frame of 512 pixels, scaled to this frame, pixels."""
        return nominal * self.scale

    def blur(self, layer: Float, nominal_sigma: float) -> Float:
        """Blur with a Gaussian; sigma in pixels of a frame of 512."""
        return np.asarray(cv2.GaussianBlur(layer, (0, 0), max(self.pixels(nominal_sigma), 0.3)), np.float32)

    def empty(self) -> Float:
        """An empty layer [size, size]."""
        return np.zeros((self.size, self.size), np.float32)
