"""What judged alarms say about a threshold: the level that confirmed false alarms ask for, and the recall.

A window of good frames is short. Confirmed false alarms are good frames too, the highest of a time in production that
is many windows long: they say where the tail of good scores really is. They cannot be added to the window itself,
where a few of the highest among a million frames would count as a few among three hundred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from calibration.budgets import plural
from calibration.statistics import EpisodeCounts
from calibration.store import Calibration


@dataclass(frozen=True, slots=True)
class FalseAlarmLevel:
    """The lowest level at which confirmed false alarms alone keep within the budget."""

    level: float
    """Threshold on the statistic of the alarm rule."""
    alarms: int
    """Confirmed false alarms that it follows from."""

    def applied_to(self, calibration: Calibration) -> Calibration:
        """Return the calibration with its threshold raised to the level; itself where it is as high already."""
        threshold = calibration.threshold
        if self.level <= threshold.value:
            return calibration
        statistic = calibration.rule.statistic(calibration.kept_scores)
        episodes = EpisodeCounts(statistic, quiet_frames=max(1, calibration.quiet_frames)).at(self.level)
        why = f"to what {plural(self.alarms, 'confirmed false alarm')} reached"
        return replace(calibration, id="", threshold=threshold.raised_to(self.level, episodes=episodes, why=why))


def level_of_false_alarms(peaks: ArrayLike, allowed: float) -> FalseAlarmLevel | None:
    """Return the level that confirmed false alarms ask for; None where there are no more than the budget allows.

    Args:
        peaks: of the false alarms, the highest statistic while each was active [N].
        allowed: false alarms that the new budget allows in the exposure in which these occurred, ≥ 0.

    >>> level_of_false_alarms([5.0, 9.0, 7.0, 6.0, 8.0], allowed=3.2)
    FalseAlarmLevel(level=6.0, alarms=5)
    >>> level_of_false_alarms([5.0, 9.0], allowed=3.2) is None
    True
    """
    highest_first = np.sort(np.asarray(peaks, dtype=np.float64))[::-1]
    kept = math.floor(max(0.0, allowed))
    if highest_first.size <= kept:
        return None
    return FalseAlarmLevel(float(highest_first[kept]), int(highest_first.size))


def found_defects(peaks: ArrayLike, threshold: float) -> int:
    """Return how many confirmed defects raise an alarm at a threshold, by their peaks [N].

    >>> found_defects([5.0, 9.0, 7.0], threshold=6.0)
    2
    """
    return int((np.asarray(peaks, dtype=np.float64) > threshold).sum())
