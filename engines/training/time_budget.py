"""How long training lasts: a number of steps, or minutes converted to steps.

A learning-rate schedule needs to know the end, and a reproducible run needs a number of steps; technicians think in
minutes. The budget therefore measures the speed of the first steps and plans the rest in steps, on a coarse grid, so
that two runs on the same idle machine plan the same number. It corrects the plan if the machine's speed changes, and
ends training when the time is up in any case.
"""

from __future__ import annotations

from collections.abc import Callable

# Steps until the speed is known; `progress` stays 0 during them, for steps and minutes alike. The published networks at
# 64 pixels take 2 s per step on two idle cores and 10 s on busy ones; more warm-up would use up a short training.
WARM_UP_STEPS = 8
# The first step also fills caches and starts thread pools: excluded from the speed.
_COLD_STEPS = 1

# Numbers of steps on the grid are 4 % apart: on average 2 % of the time stays unused for the sake of reproducibility.
_GRID = 1.04

# The plan is reviewed this often, and kept unless it is off by more than these factors.
_REVIEWS = 10
_TOO_LONG, _TOO_SHORT = 1.04, 0.90

# What is left of a plan that is shortened, as a share of it.
_LAST_SHARE = 0.1


class TimeBudget:
    """Counts steps against a plan. The limit is `steps`, or `seconds`, or whichever of both ends first."""

    def __init__(self, clock: Callable[[], float], *, steps: int | None = None, seconds: float | None = None) -> None:
        """Start now by `clock` (seconds, monotonic); ValueError without any limit."""
        if steps is None and seconds is None:
            raise ValueError("a budget needs steps or seconds")
        self._clock = clock
        self._requested_steps = steps
        self._planned = steps
        self._seconds = seconds
        self._start = clock()
        self._warm_at = self._start
        self._review_at = WARM_UP_STEPS
        self._shortened = False
        self.step = 0
        """Steps done."""

    @property
    def progress(self) -> float:
        """Fraction of the planned steps done, 0 … 1, for schedules; 0 during warm-up."""
        if self._planned is None or self.step < WARM_UP_STEPS:
            return 0.0
        return min(1.0, self.step / self._planned)

    @property
    def share_done(self) -> float:
        """Fraction done, 0 … 1, for people: of steps or of time, whichever is larger."""
        by_steps = self.step / self._planned if self._planned else 0.0
        by_time = self._elapsed() / self._seconds if self._seconds else 0.0
        return min(1.0, by_steps if self._requested_steps is not None else max(by_steps, by_time))

    @property
    def used_up(self) -> bool:
        """True if training is to end: the steps are done, or more than half of another one would exceed the time."""
        if self._planned is not None and self.step >= self._planned:
            return True
        return self._seconds is not None and self._elapsed() + self._step_seconds() / 2 >= self._seconds

    def set_aside(self, seconds: float) -> None:
        """Reserve time for the work after the last step."""
        if self._seconds is not None:
            self._seconds = max(0.0, self._seconds - seconds)

    def end_soon(self) -> None:
        """Shorten a plan made from minutes to a tenth of its length from now: the schedule still comes to its end."""
        if self._requested_steps is None and self._planned is not None and not self._shortened:
            self._planned = min(self._planned, self.step + max(1, round(_LAST_SHARE * self._planned)))
            self._shortened = True

    def advance(self) -> None:
        """Count one step, and review the plan if it is due."""
        self.step += 1
        if self.step == _COLD_STEPS:
            self._warm_at = self._clock()
        if self._requested_steps is None and not self._shortened and self.step == self._review_at:
            self._review()

    def _review(self) -> None:
        assert self._seconds is not None
        possible = self.step + max(0.0, self._seconds - self._elapsed()) / max(self._step_seconds(), 1e-9)
        if self._planned is None or not _TOO_SHORT * possible <= self._planned <= _TOO_LONG * possible:
            self._planned = max(self.step, on_grid(possible))
        self._review_at = self.step + max(1, self._planned // _REVIEWS)

    def _step_seconds(self) -> float:
        """Mean time of a step so far, validation included."""
        warm_steps = self.step - _COLD_STEPS
        return (self._clock() - self._warm_at) / warm_steps if warm_steps > 0 else 0.0

    def _elapsed(self) -> float:
        return self._clock() - self._start


def on_grid(steps: float) -> int:
    """Return the largest number of the grid that is not above `steps`.

    >>> [on_grid(steps) for steps in (1, 100, 101, 103, 104, 1000)]
    [1, 98, 98, 102, 102, 995]
    """
    grid, value = 1, 1.0
    while round(value * _GRID) <= steps:
        value *= _GRID
        grid = round(value)
    return grid
