"""A simulated X-ray detector: offset, gain, a beam that fades to the edge, noise, and bad pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 96, 128
NOISE = 12.0


class Detector:
    """Images [H, W] of 16 bits, with a dead row, a dead column, single dead, bright and noisy pixels."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        beam = 1.0 - 0.3 * (((x - 64) / 64) ** 2 + ((y - 48) / 48) ** 2) / 2
        self.gain = beam * self.random.normal(1.0, 0.05, (HEIGHT, WIDTH)).clip(0.8, 1.2)
        self.offset = self.random.normal(400.0, 30.0, (HEIGHT, WIDTH))
        self.noise = np.full((HEIGHT, WIDTH), NOISE)
        self.gain[40] = 0.0
        self.gain[:, 90] = 0.0
        self.gain[10, 20] = self.gain[11, 20] = 0.0
        self.gain[70, 30] *= 2.0
        self.noise[60, 60] = 40 * NOISE
        self.bad = (self.gain == 0.0) | (self.noise > NOISE)
        self.bad[70, 30] = True

    def image(self, transmission: float | NDArray[np.float64], dose: float = 20_000.0) -> NDArray[np.uint16]:
        """An exposure; transmission is 1 without a part, and 0 without radiation."""
        exact = self.offset + dose * self.gain * transmission
        return np.asarray((exact + self.random.normal(0.0, self.noise)).clip(0, 65535).round(), np.uint16)

    def folder(self, path: Path, count: int, transmission: float | NDArray[np.float64], dose: float = 20_000.0) -> Path:
        """A folder of exposures."""
        path.mkdir(parents=True)
        for index in range(count):
            assert cv2.imwrite(str(path / f"{index:03}.png"), self.image(transmission, dose))
        return path


def part(hole: bool = False) -> NDArray[np.float64]:
    """The transmission of a part; with a hole it is bad."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    found = np.where((x - 64) ** 2 + (y - 48) ** 2 < 900, 0.5, 1.0)
    return np.where((x - 70) ** 2 + (y - 50) ** 2 < 25, 0.9, found) if hole else found
