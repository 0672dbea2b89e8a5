"""How far training is: by steps, or by minutes that are turned into steps.

A learning-rate schedule needs to know the end, and a run that can be repeated needs a number of steps, while a
technician has minutes. So the speed is measured over the first steps and the rest is planned in steps, on a coarse
grid, so that two runs on the same idle machine plan the same number. The plan is corrected where the machine's speed
changes, and time has the last word.
"""

from __future__ import annotations

from collections.abc import Callable

# Steps before the speed is known; `progress` stays 0 for as long, whether steps or minutes were asked for. The
# published networks at 64 pixels take 2 s a step on two idle cores and 10 s on busy ones, so more would eat up a short
# training.
WARM_UP_STEPS = 8
# The first step also pays for caches and thread pools: not counted as speed.
_COLD_STEPS = 1

# Steps on the grid are 4 % apart: on average 2 % of the time is left unused for the sake of repeatability.
_GRID = 1.04

# The plan is looked at again this often, and stays unless it is off by more than these shares.
_REVIEWS = 10
_TOO_LONG, _TOO_SHORT = 1.04, 0.90


class TimeBudget:
    """Counts steps against a plan. Give it `steps`, or `seconds`, or both: then whichever ends first."""

    def __init__(self, clock: Callable[[], float], *, steps: int | None = None, seconds: float | None = None) -> None:
        """Start the clock (seconds, monotonic); at least one of the limits is given."""
        if steps is None and seconds is None:
            raise ValueError("a budget needs steps or seconds")
        self._clock = clock
        self._asked_steps = steps
        self._planned = steps
        self._seconds = seconds
        self._start = clock()
        self._warm_at = self._start
        self._review_at = WARM_UP_STEPS
        self.step = 0
        """Steps done."""

    @property
    def planned_steps(self) -> int | None:
        """Steps that training will take, as far as is known."""
        return self._planned

    @property
    def progress(self) -> float:
        """What schedules go by: share of the planned steps that is done, 0 while warming up."""
        if self._planned is None or self.step < WARM_UP_STEPS:
            return 0.0
        return min(1.0, self.step / self._planned)

    @property
    def share_done(self) -> float:
        """What people go by: the larger of the shares of steps and of time, 0 … 1."""
        by_steps = self.step / self._planned if self._planned else 0.0
        by_time = self._elapsed() / self._seconds if self._seconds else 0.0
        return min(1.0, by_steps if self._asked_steps is not None else max(by_steps, by_time))

    @property
    def used_up(self) -> bool:
        """True where training is to end: the steps are done, or another one would end more than half too late."""
        if self._planned is not None and self.step >= self._planned:
            return True
        return self._seconds is not None and self._elapsed() + self._step_seconds() / 2 >= self._seconds

    def set_aside(self, seconds: float) -> None:
        """Keep time for what comes after the last step."""
        if self._seconds is not None:
            self._seconds = max(0.0, self._seconds - seconds)

    def advance(self) -> None:
        """Count one step and plan anew where it is time to."""
        self.step += 1
        if self.step == _COLD_STEPS:
            self._warm_at = self._clock()
        if self._asked_steps is None and self.step == self._review_at:
            self._review()

    def _review(self) -> None:
        assert self._seconds is not None
        possible = self.step + max(0.0, self._seconds - self._elapsed()) / max(self._step_seconds(), 1e-9)
        if self._planned is None or not _TOO_SHORT * possible <= self._planned <= _TOO_LONG * possible:
            self._planned = max(self.step, on_grid(possible))
        self._review_at = self.step + max(1, self._planned // _REVIEWS)

    def _step_seconds(self) -> float:
        """Mean time of a step so far, held-out looks included."""
        warm_steps = self.step - _COLD_STEPS
        return (self._clock() - self._warm_at) / warm_steps if warm_steps > 0 else 0.0

    def _elapsed(self) -> float:
        return self._clock() - self._start


def on_grid(steps: float) -> int:
    """Largest number of the grid that is not above `steps`.

    >>> [on_grid(steps) for steps in (1, 100, 101, 103, 104, 1000)]
    [1, 98, 98, 102, 102, 995]
    """
    grid, value = 1, 1.0
    while round(value * _GRID) <= steps:
        value *= _GRID
        grid = round(value)
    return grid
