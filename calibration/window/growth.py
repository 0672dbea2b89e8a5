"""How far a window is extended if its frames do not suffice for the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

from calibration.budgets import Budget
from calibration.statistics import Threshold, shortage

# If no window within the limit can certify the budget, so many independent frames are enough to fit the tail.
_FAIR_SAMPLE = 100

# An extension is a little longer than estimated, so that one suffices.
_OVERSHOOT = 1.1


@dataclass(frozen=True, slots=True)
class Extension:
    """A window needs more frames."""

    frames: int
    """Frames wanted from now on."""
    reason: str
    """Why, in words."""


def extension(threshold: Threshold, *, budget: Budget, count: int, max_frames: int) -> Extension | None:
    """Return the extension of a window of `count` frames that gave this threshold; None if it would not help.

    More frames help if a window within the limit certifies the budget. Otherwise they do only if these equal so few
    independent frames that they do not support even an extrapolation.
    """
    if threshold.certified:
        return None
    needed = threshold.frames_needed or 0
    if needed > max_frames:
        needed = math.ceil(count * _FAIR_SAMPLE / threshold.effective_sample_size)
    if needed <= count:
        return None
    # At most doubled: a first estimate of the dependence may be far too high.
    frames = min(max_frames, 2 * count, max(count + 1, math.ceil(_OVERSHOOT * needed)))
    reason = f"{shortage(threshold, budget)}; the window is extended from {count:,} to {frames:,} {budget.noun}"
    return Extension(frames, reason)
