"""Drift: a shift of the good scores since the calibration.

Drift is tested on means of long blocks, never frame by frame. A block equals about a hundred independent frames, so its
mean has a tenth of the spread of a score, however dependent the frames are. Two successive blocks that are half a
standard deviation off on the same side are drift. Such a pair has a probability of about 1e-12 on a steady line, and
follows a shift by one standard deviation within four blocks (400 effective frames).

A short window determines neither its centre nor its dependence well. So the limits are widened by the uncertainty of
the centre, the first blocks within the limits refine centre and spread, and blocks are made longer if their means
scatter more than those of a hundred independent frames may. The calibration itself never changes.

(Change detection on batch means: Page 1954; Alwan & Roberts 1988 on why charts for independent values fail here.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.store import ScoreReference

# Independent frames that a block equals.
_BLOCK_WORTH = 100.0

# Shift of the centre, in standard deviations of a score, that two successive blocks must show.
_SHIFT = 0.5

# Standard errors of the centre added to it, and the effective frames after which the centre is no longer refined.
_CENTRE_ERRORS, _REFINED_WORTH = 3.0, 1_600.0

# Number of blocks over which their scatter is tested, and how often their length may be doubled: windows that equal
# three independent frames gave an autocorrelation time four times too short.
_TESTED_BLOCKS, _MOST_DOUBLINGS = 16, 2

# Scores are clipped at so many scales from the centre, so that defects do not look like drift.
_CLIP = 4.0


@dataclass(frozen=True, slots=True)
class Drift:
    """The state of the drift monitor after a block."""

    flag: bool
    """True while the good scores are shifted against those of the calibration."""
    shift: float
    """Shift of the last block's mean, in standard deviations of a score."""
    events: int
    """Number of times that the flag was raised."""


class DriftMonitor:
    """Compares the scores of one camera with the reference of the calibration in force.

    `update` takes well under a microsecond, except for the last frame of a block. Pass every score: those of alarms are
    clipped and have no effect. Make a new monitor when the calibration changes.
    """

    def __init__(self, reference: ScoreReference) -> None:
        self.reference = reference
        self.drift = Drift(flag=False, shift=0.0, events=0)
        """The state after the last complete block."""
        self._block_frames = max(1, math.ceil(_BLOCK_WORTH * reference.autocorrelation_time))
        self._low = reference.centre - _CLIP * reference.scale
        self._high = reference.centre + _CLIP * reference.scale
        self._sum, self._squares, self._left = 0.0, 0.0, self._block_frames
        self._centre, self._worth = reference.centre, max(reference.effective_sample_size, 1.0)
        self._scale = max(reference.scale, 1e-12)
        self._side, self._calm = 0, 0
        self._means: list[float] = []
        self._doublings = 0

    @property
    def flag(self) -> bool:
        """True while the good scores are shifted against those of the calibration."""
        return self.drift.flag

    @property
    def block_frames(self) -> int:
        """Length of a block, frames."""
        return self._block_frames

    def update(self, score: float) -> bool:
        """Add the next score and return the flag."""
        # Without the calls of min and max: this runs for every frame.
        clipped = self._low if score < self._low else self._high if score > self._high else score
        self._sum += clipped
        self._squares += (clipped - self.reference.centre) ** 2
        self._left -= 1
        if self._left == 0:
            self._end_block(self._sum / self._block_frames)
        return self.drift.flag

    def extend(self, scores: ArrayLike) -> bool:
        """Add scores [N] in order, as `update` would one by one, and return the flag."""
        values: NDArray[np.float64] = np.clip(np.asarray(scores, dtype=np.float64), self._low, self._high)
        start = 0
        while values.size - start >= self._left:
            end = start + self._left
            self._add(values[start:end])
            start, self._left = end, 0
            self._end_block(self._sum / self._block_frames)
        self._add(values[start:])
        self._left -= values.size - start
        return self.drift.flag

    def _add(self, values: NDArray[np.float64]) -> None:
        self._sum += float(values.sum())
        self._squares += float(((values - self.reference.centre) ** 2).sum())

    def _end_block(self, mean: float) -> None:
        square = self._squares / self._block_frames
        self._sum, self._squares, self._left = 0.0, 0.0, self._block_frames
        shift = (mean - self._centre) / self._scale
        # A few frames determine their spread no better than their centre, hence the second factor.
        limit = _SHIFT + _CENTRE_ERRORS / math.sqrt(self._worth) * (1 + 4 / self._worth)
        side = 0 if abs(shift) <= limit else 1 if shift > 0 else -1
        self._update_flag(shift, side)
        if side == 0 and self._worth < _REFINED_WORTH:
            self._refine(mean, square)
        self._side = side
        self._widen(mean)

    def _update_flag(self, shift: float, side: int) -> None:
        """Raise the flag on the second successive block off on one side; lower it on the second calm one."""
        before = self.drift
        raised = not before.flag and side != 0 and side == self._side
        self._calm = self._calm + 1 if side == 0 else 0
        flag = raised or (before.flag and self._calm < 2)
        self.drift = Drift(flag=flag, shift=shift, events=before.events + raised)

    def _refine(self, mean: float, square: float) -> None:
        """Include a block within the limits in centre and spread, with the weight of its independent frames.

        `square` is the block's mean squared distance from the reference's centre.
        """
        self._worth += _BLOCK_WORTH
        share = _BLOCK_WORTH / self._worth
        self._centre += (mean - self._centre) * share
        variance = max(square - (mean - self.reference.centre) ** 2, 0.0)
        self._scale = math.sqrt(self._scale**2 * (1 - share) + variance * share)

    def _widen(self, mean: float) -> None:
        """Double the block length if neighbouring means scatter twice as much as those of 100 independent frames."""
        self._means.append(mean)
        if len(self._means) < _TESTED_BLOCKS:
            return
        # From differences of neighbours, so that a shift or a slow drift does not count as scatter.
        scatter = float(np.mean(np.diff(self._means) ** 2)) / 2
        self._means.clear()
        if scatter * _BLOCK_WORTH > 2 * self._scale**2 and self._doublings < _MOST_DOUBLINGS:
            self._doublings += 1
            self._block_frames *= 2
            self._left = self._block_frames
            self._side = 0
