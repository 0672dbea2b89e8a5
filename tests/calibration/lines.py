"""Simulated good lines for the tests of calibration."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtr
from scipy.stats import gamma

from calibration import Budget, Calibration, Origin, Rule, Window

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
BUNDLE_SHA256 = "ab" * 32


def origin(*, camera: str = "line-1", who: str = "anna", at: datetime = NOON) -> Origin:
    """Return what the calibrations of these tests are valid for."""
    return Origin(camera=camera, bundle_sha256=BUNDLE_SHA256, engine="onnxruntime", created_at=at, who=who)


def gaussian(frames: int, *, correlation: float = 0.0, seed: int = 0) -> np.ndarray:
    """Return a stationary AR(1) series, standard normal."""
    noise = np.random.default_rng(seed).standard_normal(frames)
    noise[1:] *= np.sqrt(1 - correlation**2)
    return lfilter([1.0], [1.0, -correlation], noise)


def scores(frames: int, *, correlation: float = 0.0, seed: int = 0) -> np.ndarray:
    """Return gamma scores with this lag-1 correlation (Gaussian copula)."""
    return gamma(4.0).isf(ndtr(-gaussian(frames, correlation=correlation, seed=seed)))


def image(seed: int, *, bits: int = 8, channels: int = 1, level: float = 0.4) -> np.ndarray:
    """Return a noisy gray image, [48, 64, channels]."""
    top = 2**bits - 1
    noisy = np.random.default_rng(seed).normal(level * top, 0.02 * top, size=(48, 64, channels))
    return noisy.clip(0, top).astype(np.uint8 if bits == 8 else np.uint16)


def heat(seed: int, *, shape: tuple[int, int] = (12, 16)) -> np.ndarray:
    """Return the raw heat of a good frame."""
    return np.random.default_rng(seed).gamma(4.0, size=shape).astype(np.float32)


def window(
    *,
    frames: int = 300,
    max_frames: int | None = None,
    budget: str = "1 per 100 frames",
    rule: Rule | None = None,
    parts: bool = False,
) -> Window:
    """Return an empty window at 20 frames per second."""
    return Window(
        frames=frames,
        max_frames=frames if max_frames is None else max_frames,
        rule=Rule(k=1, n=1) if rule is None else rule,
        budget=Budget.parse(budget),
        frames_per_second=20.0,
        parts=parts,
    )


def filled(values: np.ndarray, **settings: object) -> Window:
    """Return a window with these scores, noisy images and heat."""
    collected = window(frames=values.size, **settings)  # type: ignore[arg-type]
    for index, value in enumerate(values):
        collected.add(float(value), heat(index), image(index))
    return collected


def calibration(*, seed: int = 0, who: str = "anna", at: datetime = NOON) -> Calibration:
    """Return a calibration on 300 good frames."""
    return filled(scores(300, seed=seed)).finish(**origin(at=at, who=who))
