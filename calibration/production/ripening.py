"""Evidence from production itself that a budget is kept: an anytime-valid upper limit of the false-alarm rate.

No window certifies "1 per shift": sixty hours of good parts would be needed. Production delivers them. The limit here
may be looked at after every frame and acted on at any time, without losing its confidence (a confidence sequence:
Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of
Statistics 49, 2021; Waudby-Smith and Ramdas, JRSS B 86, 2024).

For false alarms of intensity λ(s), N of them until t, and any rate μ and share 0 < x < 1, the process
x^N exp((1 - x) ∫λ) is a martingale. Where the average intensity until t is μ or more, x^N exp((1 - x) μ t) lies below
it. A mixture over x, here with density x^(-1/2)/2, exceeds 1/α with probability α at most, over all times together
(Ville's inequality). The upper limit is the lowest μ at which the mixture reaches 1/α. It holds for the average
intensity until now, however the rate has changed meanwhile.

Assumed: given the past, incidents come independently of each other. Alarms of one incident (`incidents.py`) are allowed
for by dividing both sides by the dispersion, as in a quasi-Poisson model. It follows from the incidents of this
calibration and of earlier ones of the camera. A line whose first incident of m alarms is still to come cannot be told
from one without: by an exposure of t, none has occurred there with a probability of exp(-t/m), whatever the method.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import gammainc, gammaln

from calibration.production.incidents import dispersion, incident_sizes

# Density a x^(a-1) of the mixture over the true rate as a share of the limit. With a = 1/2 the certificate takes 1.3
# times as long as that of a method that knows the rate where this is 0, and 1.2 times at half the budget; with a = 1,
# 1.5 and 1.1 times (`benchmarks/promise`).
_MIXTURE_SHAPE = 0.5


def worst_rate(alarms: ArrayLike, exposure: float, *, confidence: float = 0.95, earlier: ArrayLike = ()) -> float:
    """Return the upper limit of the average rate of false alarms, as a multiple of the promised rate.

    At or below 1 the promise is certified. The limit may be computed as often as wanted: the probability that it is
    ever too low is 1 - `confidence` at most.

    Args:
        alarms: positions of the false alarms in units of the budget [N], rising, each ≤ `exposure`. Alarms that nobody
            has judged count as false.
        exposure: in units of the budget, ≥ 0: the number of false alarms that the promise allows until now.
        confidence: between 0 and 1.
        earlier: alarms of each incident before, under other calibrations; see `incident_sizes`.

    >>> [round(worst_rate([], shifts), 2) for shifts in (1.0, 5.7, 9.0)]
    [5.68, 1.0, 0.63]
    >>> promised, rng = 60.0, np.random.default_rng(0)
    >>> times = np.sort(rng.uniform(0.0, promised, rng.poisson(0.4 * promised)))
    >>> len(times), round(worst_rate(times, promised), 2)
    (26, 0.77)
    """
    if exposure <= 0.0:
        return math.inf
    positions = np.asarray(alarms, dtype=np.float64)
    size = dispersion(np.concatenate([np.asarray(earlier, dtype=np.float64), incident_sizes(positions)]))
    limit = _limit(positions.size / size, math.log(1.0 / (1.0 - confidence)))
    return limit * size / exposure


def _limit(events: float, wanted: float) -> float:
    """Return the expected number of events at which the logarithm of the mixture reaches `wanted`."""
    low = max(events, 1e-9)
    high = low + 1.0
    while _log_mixture(events, high) < wanted:
        low, high = high, high + 2.0 * (high - low)
    return float(brentq(lambda expected: _log_mixture(events, expected) - wanted, low, high, xtol=1e-9))


def _log_mixture(events: float, expected: float) -> float:
    """Return log ∫ a x^(a-1) x^events exp(expected (1 - x)) dx over 0 < x < 1."""
    shape = events + _MIXTURE_SHAPE
    incomplete = math.log(max(float(gammainc(shape, expected)), 1e-300)) + float(gammaln(shape))
    return math.log(_MIXTURE_SHAPE) + expected - shape * math.log(expected) + incomplete
