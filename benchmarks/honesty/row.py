"""One row of the table: a situation that a line gets into, on many lines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.station import Window
from calibration import Threshold
from calibration.budgets.budget import SECONDS_PER_DAY
from calibration.statistics.stated_rates import StatedRates

Scores = NDArray[np.float64]

# With fewer false alarms expected on the units that follow a window, their number is mostly chance: with one expected,
# none is shown by 37 % of the lines, and the median of the lines by steps.
_LEAST_ALARMS = 5.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What a line really does. A judged unit is a part where parts are known, else a frame."""

    rate: Callable[[float], float]
    """False alarms per judged unit at a threshold."""
    units_per_second: float
    """Rate of the line."""
    bad: Scores
    """The rule's statistic for each bad part [M], which is found if it is above the threshold; empty: none known."""


@dataclass(frozen=True, slots=True)
class Case:
    """One line: how its window came out, and what it really does."""

    window: Window
    truth: Truth
    later: Scores | None = None
    """The rule's statistic of the good units that follow the window [K]; None: the line never ends."""


@dataclass(frozen=True, slots=True)
class Row:
    """Results of the lines of one situation."""

    situation: str
    scores: str
    window: int
    budget: str
    lines: int
    stopped: int
    """Windows that wait for a person."""
    rejected: int
    """Windows of which no calibration came otherwise."""
    certified: int
    false: int
    """Certified lines that break their budget."""
    limits: int
    """Lines with an uncertified limit ..."""
    limits_kept: int
    """... and those of them that keep it."""
    likely: tuple[float, ...]
    """Best guess of each line that states one, false alarms per judged unit."""
    realised: tuple[float, ...]
    """Rate of the same lines, on the units that follow the window."""
    later: float
    """Good units of the set that follow the window; infinite for lines that go on."""
    recall: float | None
    """Mean share of the bad parts found; None: no bad parts known, or no threshold."""
    oracle: float | None
    """Share that a threshold finds which realises the mean rate of these lines."""

    @classmethod
    def of(cls, situation: str, scores: str, window: int, budget: str, cases: Iterable[Case]) -> Row:
        """Measure the lines of a situation."""
        found = list(cases)
        armed = [case for case in found if case.window.calibration is not None]
        stopped = sum(case.window.stopped and case.window.calibration is None for case in found)
        certified = [case for case in armed if _threshold(case).certified]
        others = [case for case in armed if not _threshold(case).certified]
        recall, oracle = _recalls(armed)
        stated = [case for case in armed if _rates(case).carried]
        later = [math.inf if case.later is None else case.later.size for case in found]
        return cls(
            situation,
            scores,
            window,
            budget,
            lines=len(found),
            stopped=stopped,
            rejected=len(found) - len(armed) - stopped,
            certified=len(certified),
            false=sum(_over_budget(case) > 1 for case in certified),
            limits=len(others),
            limits_kept=sum(map(_keeps_limit, others)),
            likely=tuple(map(_likely, stated)),
            realised=tuple(map(_realised_later, stated)),
            later=float(min(later)),
            recall=recall,
            oracle=oracle,
        )

    @property
    def summed(self) -> bool:
        """Whether a single line shows too few false alarms for a rate: those of all lines are added up then."""
        return not self.likely or float(np.median(self.likely)) * self.later < _LEAST_ALARMS

    @property
    def ratio(self) -> float | None:
        """Realised rate over best guess: median of the lines, or of their sums; None where under half state one."""
        return self._ratio(np.arange(len(self.likely))) if 2 * len(self.likely) > self.lines else None

    @property
    def ratio_range(self) -> tuple[float, float]:
        """90 % interval of the ratio, over draws of as many lines with replacement."""
        chance, count = np.random.default_rng(0), len(self.likely)
        draws = [self._ratio(chance.integers(0, count, count)) for _ in range(400)]
        low, high = np.quantile(draws, (0.05, 0.95))
        return float(low), float(high)

    def _ratio(self, lines: NDArray[np.int64]) -> float:
        realised, likely = np.array(self.realised)[lines], np.array(self.likely)[lines]
        return float(realised.sum() / likely.sum() if self.summed else np.median(realised / likely))


def save_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def load_rows(path: Path) -> Iterator[Row]:
    """Read the rows of a file."""
    for row in json.loads(path.read_text()):
        yield Row(**{**row, "likely": tuple(row["likely"]), "realised": tuple(row["realised"])})


def _threshold(case: Case) -> Threshold:
    assert case.window.calibration is not None
    return case.window.calibration.threshold


def _realised(case: Case) -> float:
    return case.truth.rate(_threshold(case).value)


def _over_budget(case: Case) -> float:
    """Realised rate over the budget: a line runs at its true rate, whatever was measured."""
    assert case.window.calibration is not None
    allowed = case.window.calibration.budget.per_frame(frames_per_second=case.truth.units_per_second)
    return _realised(case) / allowed


def _keeps_limit(case: Case) -> bool:
    made = case.window.calibration
    assert made is not None
    allowed = made.budget.per_day(frames_per_second=made.frames_per_second)
    return _over_budget(case) <= made.threshold.promised_alarms_per_day / allowed


def _rates(case: Case) -> StatedRates:
    made = case.window.calibration
    assert made is not None
    return StatedRates.of(made.threshold, budget=made.budget, frames_per_second=made.frames_per_second)


def _likely(case: Case) -> float:
    made = case.window.calibration
    assert made is not None
    return made.threshold.expected_alarms_per_day / (made.frames_per_second * SECONDS_PER_DAY)


def _realised_later(case: Case) -> float:
    """The units of the window know its level, so they would show a rate that is too low."""
    return _realised(case) if case.later is None else float(np.mean(case.later > _threshold(case).value))


def _recalls(armed: list[Case]) -> tuple[float | None, float | None]:
    if not armed or not armed[0].truth.bad.size:
        return None, None
    recalls = [float(np.mean(case.truth.bad > _threshold(case).value)) for case in armed]
    realised, truth = float(np.mean([_realised(case) for case in armed])), armed[0].truth
    levels = np.unique(np.concatenate((truth.bad, [_threshold(case).value for case in armed])))
    low, high = 0, levels.size - 1
    # The rate falls with the level: find the lowest level whose rate is within the realised one.
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if truth.rate(float(levels[middle])) <= realised else (middle + 1, high)
    return float(np.mean(recalls)), float(np.mean(truth.bad > levels[low]))
