"""Drift: have the good scores moved since they were calibrated on?

Judged on means of long blocks, never frame by frame: a block is worth about a hundred independent frames, so that its
mean has a tenth of the spread of a score, however dependent the frames are. Two blocks in a row half a standard
deviation off on the same side are drift. Such a pair has a chance of about 1e-12 on a steady line and comes within
four blocks (400 effective frames) of a shift by one standard deviation.

A short window knows neither its own centre nor its dependence well. So the limits are wider by what the centre's own
uncertainty explains, the first blocks that do not stick out go on refining centre and spread, and blocks whose means
scatter more than blocks worth a hundred frames may are made longer. The calibration itself is never touched.

(Change detection on batch means: Page 1954; Alwan & Roberts 1988 on why charts for independent values fail here.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.record import ScoreReference

# Effective frames that a block is worth.
_BLOCK_WORTH = 100.0

# Shift of the centre, in standard deviations of a score, that two blocks in a row must show.
_SHIFT = 0.5

# Standard errors of the centre that are added to it, and the effective frames after which the centre is known for good.
_CENTRE_ERRORS, _REFINED_WORTH = 3.0, 1_600.0

# Blocks over which their scatter is judged, and how often they may be doubled for it: a dependence time of a window of
# three independent frames has been seen four times too short.
_JUDGED_BLOCKS, _MOST_DOUBLINGS = 16, 2

# Scores are clipped at so many scales from the centre: a defect must not look like drift.
_CLIP = 4.0


@dataclass(frozen=True, slots=True)
class Drift:
    """The state of the drift monitor after a block."""

    flag: bool
    """True while the good scores lie off the calibration's."""
    shift: float
    """How far the last block's mean lies off, in standard deviations of a score."""
    events: int
    """How often the flag has been raised."""


class DriftMonitor:
    """Watches the scores of one camera against the reference of the calibration in force.

    `update` takes well under a microsecond but for the last frame of a block. Give it every score; what alarms is
    clipped and does not matter. Make a new one when the calibration changes.
    """

    def __init__(self, reference: ScoreReference) -> None:
        self.reference = reference
        self.drift = Drift(flag=False, shift=0.0, events=0)
        """What the last block showed."""
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
        """True while the good scores lie off the calibration's."""
        return self.drift.flag

    @property
    def block_frames(self) -> int:
        """Frames that are averaged before anything is judged."""
        return self._block_frames

    def update(self, score: float) -> bool:
        """Take the next score and return the flag."""
        # min and max, spelled out: this runs for every frame.
        clipped = self._low if score < self._low else self._high if score > self._high else score
        self._sum += clipped
        self._squares += (clipped - self.reference.centre) ** 2
        self._left -= 1
        if self._left == 0:
            self._end_block(self._sum / self._block_frames)
        return self.drift.flag

    def extend(self, scores: ArrayLike) -> bool:
        """Take many scores [N] at once, as `update` would one by one, and return the flag."""
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
        # A handful of frames knows its own spread no better than its centre: the second factor.
        limit = _SHIFT + _CENTRE_ERRORS / math.sqrt(self._worth) * (1 + 4 / self._worth)
        side = 0 if abs(shift) <= limit else 1 if shift > 0 else -1
        self._judge(shift, side)
        if side == 0 and self._worth < _REFINED_WORTH:
            self._refine(mean, square)
        self._side = side
        self._widen(mean)

    def _judge(self, shift: float, side: int) -> None:
        """Raise on the second block in a row off on one side; lower on the second calm one."""
        before = self.drift
        raised = not before.flag and side != 0 and side == self._side
        self._calm = self._calm + 1 if side == 0 else 0
        flag = raised or (before.flag and self._calm < 2)
        self.drift = Drift(flag=flag, shift=shift, events=before.events + raised)

    def _refine(self, mean: float, square: float) -> None:
        """Let an uneventful block share in centre and spread by what it is worth.

        `square` is the block's mean squared distance from the reference's centre.
        """
        self._worth += _BLOCK_WORTH
        share = _BLOCK_WORTH / self._worth
        self._centre += (mean - self._centre) * share
        variance = max(square - (mean - self.reference.centre) ** 2, 0.0)
        self._scale = math.sqrt(self._scale**2 * (1 - share) + variance * share)

    def _widen(self, mean: float) -> None:
        """Double the blocks where neighbouring means scatter by twice what blocks worth 100 frames would."""
        self._means.append(mean)
        if len(self._means) < _JUDGED_BLOCKS:
            return
        # Differences of neighbours, so that a shift or a slow drift is not taken for scatter.
        scatter = float(np.mean(np.diff(self._means) ** 2)) / 2
        self._means.clear()
        if scatter * _BLOCK_WORTH > 2 * self._scale**2 and self._doublings < _MOST_DOUBLINGS:
            self._doublings += 1
            self._block_frames *= 2
            self._left = self._block_frames
            self._side = 0
