"""A watch on the promise: it speaks when alarms come faster than promised, after a handful of them.

Drift of the mean score is slow to see a lamp that brightens by 1 % an hour, and a change of the rare highest scores
moves no mean at all. The alarms themselves say it at once: they are the thing that was promised.

The test is an e-process. Under the promise, x^n exp(-(x - 1) t) with n incidents in an exposure t (in units of the
budget) is a supermartingale for every x > 1, and so is a mixture over x. One such process starts at the beginning, and
another one after every incident, with weights 1/((j + 1)(j + 2)) that add up to 1: so a line that has kept its promise
for a year is watched as closely as a new one. Their sum exceeds 20 with a probability of 1 in 20 at most, over the
whole life of a calibration (Ville's inequality; Shafer, Shen, Vereshchagin and Vovk, "Test martingales, Bayes factors
and p-values", Statistical Science 26, 2011; Shin, Ramdas and Rinaldo, "E-detectors", 2024).

Assumed: incidents come independently, given the past. An incident is up to a hundredth of the mean interval between
allowed false alarms long and counts once, however many alarms it raises; so a short storm does not break the promise,
and one that lasts does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import exp1, gammaincc, gammaln

from calibration.production.incidents import incident_starts

# On a line that keeps its promise the watch speaks in at most this share of all lifetimes of a calibration.
FALSE_WARNINGS = 0.05

# Density x^-1 exp(-x/30) of the mixture over the true rate as a multiple of the promised one, x > 1: even on the
# scale of ratios up to some thirty times, which limits what a few alarms in quick succession prove.
_RATE_SCALE = 30.0

# Incidents that are tested, the latest ones: 512 take 50 ms.
_MOST_INCIDENTS = 512


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """The promise is broken, with the alarms that show it."""

    first: int
    """Index of the first alarm of the higher rate."""
    shown_by: int
    """Index of the alarm at which the evidence sufficed."""
    rate: float
    """Rate since the first of them, as a multiple of the promised one."""


def find_broken_promise(alarms: ArrayLike) -> BrokenPromise | None:
    """Return what shows that alarms come faster than promised; None while nothing does.

    Args:
        alarms: positions of the alarms since the calibration took effect, in units of the budget [N], rising; without
            those that were judged true.

    >>> rng = np.random.default_rng(0)
    >>> kept = np.cumsum(rng.exponential(1.0, size=40))
    >>> find_broken_promise(kept) is None
    True
    >>> broken = np.concatenate([kept, kept[-1] + np.cumsum(rng.exponential(1 / 30, size=20))])
    >>> found = find_broken_promise(broken)
    >>> found.first, found.shown_by, round(found.rate)
    (39, 45, 33)
    """
    positions = np.asarray(alarms, dtype=np.float64)
    starts = incident_starts(positions)
    skipped = max(0, starts.size - _MOST_INCIDENTS)
    recent = starts[skipped:]
    times = positions[recent]
    origin = positions[starts[skipped - 1]] if skipped else 0.0
    for last in range(times.size):
        logs = _log_evidence(times[: last + 1], origin, skipped)
        if np.exp(logs).sum() >= 1.0 / FALSE_WARNINGS:
            onset = max(0, int(np.argmax(logs)) - 1)
            first, shown_by = int(recent[onset]), int(recent[last])
            return BrokenPromise(first, shown_by, _rate(positions, first))
    return None


def _log_evidence(times: NDArray[np.float64], origin: float, skipped: int) -> NDArray[np.float64]:
    """Log of each weighted process right after the last incident, float64 [n].

    Args:
        times: of the incidents [n].
        origin: where the first process starts: the incident before these, or the beginning.
        skipped: incidents up to `origin`.
    """
    index = np.arange(times.size)
    begun = np.concatenate(([origin], times[:-1]))
    weights = -np.log((skipped + index + 1.0) * (skipped + index + 2.0))
    return weights + _log_mixture(times.size - index, times[-1] - begun)


def _log_mixture(incidents: NDArray[np.int64], exposure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of ∫ x^n exp(-(x - 1) t) p(x) dx over x > 1 for n ≥ 1 incidents [m] in exposures t ≥ 0 [m]."""
    shifted = exposure + 1.0 / _RATE_SCALE
    above = np.log(np.maximum(gammaincc(incidents, shifted), 1e-300)) + gammaln(incidents)
    return np.asarray(exposure + above - incidents * np.log(shifted) - np.log(exp1(1.0 / _RATE_SCALE)))


def _rate(positions: NDArray[np.float64], first: int) -> float:
    """Alarms after the first one, over the exposure that they took."""
    since = positions[first:]
    return float((since.size - 1) / max(since[-1] - since[0], 1e-9)) if since.size > 1 else 0.0
