"""One cell of the grid: many lines of one distribution, correlation, window, rule and budget, with their true rates."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincinv

from benchmarks.calibration.lines import DISTRIBUTIONS, Distribution, LineTruth, Values, gaussian_ar1, gaussian_levels
from benchmarks.calibration.rivals import RIVALS
from calibration import Budget, Rule, calibrate
from calibration.statistics.exceedances import Exceedances
from calibration.statistics.threshold import threshold_for

LINE_FRAMES_PER_SECOND = 20.0
ALARM_RULES = (Rule(k=1, n=1), Rule(k=2, n=3), Rule(k=3, n=5))
CORRELATIONS = (0.0, 0.5, 0.9, 0.98)
# In this order a run that is stopped early has covered short and long windows.
WINDOWS = (1_000, 10_000, 100_000, 300, 30_000, 3_000)
BUDGETS = tuple(
    Budget.parse(text) for text in ("1 per 100 frames", "1 per 1000 frames", "1 per hour", "1 per shift", "1 per day")
)

OURS = "inspectd"

# A defect adds this many standard deviations to every score while it is visible.
DEFECT_SIGMAS = 6.0


@dataclass(frozen=True)
class CellKey:
    """The settings of a cell."""

    distribution: str
    correlation: float
    frames: int
    rule: Rule
    budget: Budget


@dataclass
class Cell:
    """The results of a cell, one entry per line."""

    key: CellKey
    certified: list[bool] = field(default_factory=list)
    promised: list[float] = field(default_factory=list)
    """Promised rate over the budget."""
    needed: list[float] = field(default_factory=list)
    """Frames needed to certify the budget, in spans of it; 0 if it is certified."""
    realised: dict[str, np.ndarray] = field(default_factory=dict)
    """True rate over budget, by method."""
    detected: dict[str, np.ndarray] = field(default_factory=dict)
    """Share of defects detected, over that at the oracle's threshold, by method."""
    oracle_detects: float = 0.0
    """Share of defects that the oracle's threshold detects."""
    sharpest: float = float("nan")
    """Share of those that the sharpest certificate detects; nan if there is none."""

    @property
    def oracle_could(self) -> bool:
        """True if an oracle that knows the effective sample could certify with a quarter of the frames.

        The rule of three on N / 4 frames of known autocorrelation time.
        """
        time = (1 + self.key.correlation) / (1 - self.key.correlation)
        allowed = self.key.budget.per_frame(frames_per_second=LINE_FRAMES_PER_SECOND)
        return bool(self.key.frames / 4 / time * allowed >= -np.log(0.05))


def run_cells(correlation: float, frames: int, truths: dict[Rule, LineTruth], *, lines: int, seed: int) -> list[Cell]:
    """Simulate the lines of one correlation and window, and calibrate each with every rule and budget.

    The dependence that `Exceedances` measures depends on ranks only, so it is measured once on the Gaussian series and
    mapped to each distribution, and the result is used for every budget. (A test of the benchmark checks that this
    gives the thresholds of `calibrate`.)
    """
    generator = np.random.default_rng([seed, round(correlation * 100), frames])
    cells: dict[CellKey, Cell] = {}
    thresholds: dict[CellKey, list[list[float]]] = {}
    for _ in range(lines):
        gaussian = gaussian_ar1(generator, correlation, (1, frames))[0]
        spreads = {each.name: float(each.scores(gaussian).std()) for each in DISTRIBUTIONS}
        for rule in ALARM_RULES:
            taken = Exceedances.of(gaussian, rule=rule)
            ranked = np.sort(taken.statistic)
            for distribution, budget in product(DISTRIBUTIONS, BUDGETS):
                if budget is BUDGETS[0]:
                    exceedances = mapped(taken, distribution, spreads[distribution.name])
                    rising = distribution.scores(ranked)
                key = CellKey(distribution.name, correlation, frames, rule, budget)
                values = _line(cells.setdefault(key, Cell(key)), exceedances, rising)
                thresholds.setdefault(key, []).append(values)
    by_name = {distribution.name: distribution for distribution in DISTRIBUTIONS}
    for key, cell in cells.items():
        _add_truth(cell, np.array(thresholds[key]), by_name[key.distribution], truths[key.rule])
    return list(cells.values())


def mapped(exceedances: Exceedances, distribution: Distribution, spread: float) -> Exceedances:
    """Return the exceedances of the scores that a Gaussian window maps to, which have this standard deviation."""
    return replace(
        exceedances,
        statistic=distribution.scores(exceedances.statistic),
        counts=exceedances.counts.mapped(distribution.scores),
        spread=spread,
    )


def _line(cell: Cell, exceedances: Exceedances, rising: Values) -> list[float]:
    """Return the thresholds on one line: ours first, then those of the rivals."""
    budget = cell.key.budget
    allowed = budget.per_frame(frames_per_second=LINE_FRAMES_PER_SECOND)
    found = threshold_for(exceedances, budget=budget, frames_per_second=LINE_FRAMES_PER_SECOND)
    cell.certified.append(found.certified)
    cell.needed.append((found.frames_needed or 0) * allowed)
    cell.promised.append(found.promised_alarms_per_day / budget.per_day(frames_per_second=LINE_FRAMES_PER_SECOND))
    return [found.value, *(rival(rising, allowed) for rival in RIVALS.values())]


def _add_truth(cell: Cell, thresholds: np.ndarray, distribution: Distribution, truth: LineTruth) -> None:
    """Add the true rate and the detection at every threshold [lines, methods]."""
    allowed = cell.key.budget.per_frame(frames_per_second=LINE_FRAMES_PER_SECOND)
    best = distribution.score(truth.level(allowed))
    rates = truth.rates(gaussian_levels(thresholds, distribution)) / allowed
    lifted = np.append(thresholds.ravel(), best) - DEFECT_SIGMAS * distribution.spread
    caught = truth.above(gaussian_levels(lifted, distribution))
    detected = caught[:-1].reshape(thresholds.shape) / caught[-1]
    for column, name in enumerate((OURS, *RIVALS)):
        cell.realised[name], cell.detected[name] = rates[:, column], detected[:, column]
    cell.oracle_detects = float(caught[-1])
    rate = sharpest_certificate(cell.key.frames, allowed, truth.dispersion(allowed))
    if rate is not None:
        lifted = np.array([distribution.score(truth.level(rate)) - DEFECT_SIGMAS * distribution.spread])
        cell.sharpest = float(truth.above(gaussian_levels(lifted, distribution))[0] / caught[-1])


def sharpest_certificate(frames: int, allowed: float, dispersion: float, *, confidence: float = 0.95) -> float | None:
    """Return the median rate of the certified levels of a method that knows the true dispersion.

    Its window equals frames · allowed / dispersion alarms of the budget, a Poisson number. To keep the budget with this
    confidence, a level must have that many fewer in the window; without knowing the distribution it cannot be lower.
    None if not even a window without alarms is enough.

    >>> round(sharpest_certificate(10_000, 0.001, 1.0), 6)  # ten spans: less than half of the budget is used
    0.000529
    """
    spans = frames * allowed / dispersion
    if spans < -np.log(1 - confidence):
        return None
    episodes = brentq(lambda count: gammainc(count, spans) - confidence, 1e-9, spans)
    return float(gammaincinv(episodes, 0.5) / spans * allowed)


def seconds_per_calibration(frames: int, *, repeats: int = 5) -> float:
    """Return the median processor time of one calibration."""
    scores = DISTRIBUTIONS[0].scores(gaussian_ar1(np.random.default_rng(1), 0.9, (1, frames))[0])
    took = []
    for _ in range(repeats):
        start = time.process_time()
        calibrate(scores, frames_per_second=LINE_FRAMES_PER_SECOND, rule=ALARM_RULES[2])
        took.append(time.process_time() - start)
    return float(np.median(took))
