"""Alarms that belong to one incident, so that a watch on their rate does not count one cause many times.

A drop of oil or a flicker of the lamp raises several alarms in a row. They are no independent evidence of a rate, and
a test that takes alarms for a Poisson process would believe them too much. Positions are in units of the budget: 1 is
the exposure in which a line that just keeps its promise raises one false alarm on average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Alarms closer than this to the first alarm of an incident belong to it: a hundredth of the mean interval between
# allowed false alarms, five minutes for "1 per shift". Longer costs the watch time where the rate is a hundred times
# the promised one: a median of 12 alarms instead of 5 at 150 times after 100 shifts; twice as long, 23.
INCIDENT_SPAN = 0.01

# The size of an incident where none has occurred. Without any alarm the certificate takes 1.9 times as long with it as
# that of a method that knows the rate; with a size of 2, 2.5 times (`benchmarks/promise`).
ASSUMED_SIZE = 1.5


def incident_starts(positions: ArrayLike) -> NDArray[np.int64]:
    """Return the alarms that start an incident: indices int64 [incidents], rising.

    An incident ends INCIDENT_SPAN after its first alarm, so that a long storm counts several times.

    Args:
        positions: of the alarms, in units of the budget [N], rising.

    >>> incident_starts([0.5, 0.503, 0.509, 0.511, 2.0])
    array([0, 3, 4])
    """
    values = np.asarray(positions, dtype=np.float64)
    starts, at = [], 0
    while at < values.size:
        starts.append(at)
        at = int(np.searchsorted(values, values[at] + INCIDENT_SPAN, side="left"))
        at = max(at, starts[-1] + 1)
    return np.array(starts, dtype=np.int64)


def incident_sizes(positions: ArrayLike) -> NDArray[np.int64]:
    """Return the number of alarms of each incident: int64 [incidents].

    >>> incident_sizes([0.5, 0.503, 0.509, 0.511, 2.0])
    array([3, 1, 1])
    """
    values = np.asarray(positions, dtype=np.float64)
    return np.diff(np.append(incident_starts(values), values.size)) if values.size else np.zeros(0, dtype=np.int64)


def dispersion(sizes: ArrayLike) -> float:
    """Return how much more the number of alarms varies than that of independent ones, ≥ 1.

    For incidents of random size S that come independently, the variance of the count is E[S²]/E[S] times its mean
    (compound Poisson process). One incident more than has occurred is counted, as large as the largest of them and at
    least `ASSUMED_SIZE`: rare large incidents are still to come.

    Args:
        sizes: alarms of each incident [N]; see `incident_sizes`.

    >>> [round(dispersion(sizes), 2) for sizes in ([], [1] * 99, [1, 3])]
    [1.5, 1.01, 2.71]
    """
    values = np.asarray(sizes, dtype=np.float64)
    largest = max(ASSUMED_SIZE, float(values.max(initial=0.0)))
    return float((largest**2 + (values**2).sum()) / (largest + values.sum()))
