"""Minutes are converted to steps, steps are counted exactly, and training ends when the time is up."""

from __future__ import annotations

import pytest

from engines.training.time_budget import WARM_UP_STEPS, TimeBudget, on_grid


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def run(budget: TimeBudget, clock: Clock, step_seconds) -> list[float]:
    """Train with steps of these seconds, a number or a function of the step; returns the progress before each step."""
    seen = []
    while not budget.used_up:
        seen.append(budget.progress)
        clock.seconds += step_seconds(budget.step) if callable(step_seconds) else step_seconds
        budget.advance()
    return seen


def test_steps_are_counted_exactly() -> None:
    clock = Clock()
    budget = TimeBudget(clock, steps=50)
    seen = run(budget, clock, 1.0)
    assert budget.step == 50
    assert seen[:WARM_UP_STEPS] == [0.0] * WARM_UP_STEPS
    assert seen[-1] == pytest.approx(49 / 50)


@pytest.mark.parametrize("step_seconds", [0.01, 0.3, 2.0])
def test_minutes_are_used_up_and_not_exceeded(step_seconds: float) -> None:
    clock = Clock()
    budget = TimeBudget(clock, seconds=300)
    seen = run(budget, clock, step_seconds)
    assert 0.94 * 300 <= clock.seconds - 100 <= 300 + step_seconds / 2
    assert seen == sorted(seen)
    assert seen[-1] > 0.95


def test_slow_first_step_does_not_count_as_speed() -> None:
    clock = Clock()
    budget = TimeBudget(clock, seconds=300)
    run(budget, clock, lambda step: 20.0 if step == 0 else 0.5)
    assert 0.93 * 300 <= clock.seconds - 100 <= 300


@pytest.mark.parametrize(("before", "after"), [(0.5, 1.5), (1.5, 0.5)])
def test_minutes_are_not_exceeded_when_the_speed_changes(before: float, after: float) -> None:
    clock = Clock()
    budget = TimeBudget(clock, seconds=300)
    seen = run(budget, clock, lambda step: before if clock.seconds < 220 else after)
    assert 0.85 * 300 <= clock.seconds - 100 <= 301
    assert seen[-1] > 0.85


def test_steps_repeat_the_schedule_of_minutes() -> None:
    """The promise to a technician: `--steps` with the number in the manifest gives the same schedule."""
    clock = Clock()
    timed = TimeBudget(clock, seconds=300)
    seen = run(timed, clock, 0.7)
    again = TimeBudget(clock, steps=timed.step)
    assert run(again, clock, 0.9) == seen


def test_minutes_plan_the_same_on_a_slightly_faster_machine() -> None:
    steps = []
    for seconds in (0.700, 0.703):
        clock = Clock()
        budget = TimeBudget(clock, seconds=300)
        run(budget, clock, seconds)
        steps.append(budget.step)
    assert steps[0] == steps[1]


def test_time_set_aside_is_not_used_for_training() -> None:
    clock = Clock()
    budget = TimeBudget(clock, seconds=100)
    budget.set_aside(30)
    run(budget, clock, 1.0)
    assert clock.seconds - 100 <= 70.5


def test_time_ends_a_training_with_steps_left() -> None:
    clock = Clock()
    budget = TimeBudget(clock, steps=1000, seconds=10)
    run(budget, clock, 1.0)
    assert budget.step == 10


def test_budget_without_a_limit_is_rejected() -> None:
    with pytest.raises(ValueError, match="steps or seconds"):
        TimeBudget(Clock())


def test_grid_never_exceeds_the_steps() -> None:
    for steps in range(1, 5000, 7):
        assert steps / 1.06 - 1 <= on_grid(steps) <= steps


def test_plan_made_from_minutes_can_be_shortened_once() -> None:
    clock = Clock()
    budget = TimeBudget(clock, seconds=300)

    def step_seconds(step: int) -> float:
        if step in (200, 210):
            budget.end_soon()
        return 1.0

    seen = run(budget, clock, step_seconds)
    assert 225 <= budget.step <= 235
    assert seen == sorted(seen)
    assert seen[-1] > 0.95


def test_steps_are_not_shortened() -> None:
    clock = Clock()
    budget = TimeBudget(clock, steps=50)
    budget.end_soon()
    run(budget, clock, 1.0)
    assert budget.step == 50
