"""The size of a model follows from the smallest defect, the time of a frame, or the images alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, cycle
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the train extra")

from engines.bundles import MODEL, Bundle
from engines.errors import TrainingError
from engines.recipes.recipe import find_recipe
from engines.training.plan import TrainingPlan
from engines.training.sizing import (
    DEFAULT_BUDGET_MILLISECONDS,
    Wishes,
    choose_size,
    estimate_milliseconds,
    frame_milliseconds,
    side_for_defect,
)
from engines.training.train import train_model


class Machine:
    """Takes so many milliseconds for a frame of 256×256, in proportion to the number of pixels."""

    def __init__(self, milliseconds: float) -> None:
        self.milliseconds, self.measured = milliseconds, []

    def __call__(self, size: tuple[int, int]) -> float:
        self.measured.append(size)
        return self.milliseconds * size[0] * size[1] / 256**2


def test_without_wishes_nothing_is_measured() -> None:
    machine = Machine(10.0)
    assert choose_size((640, 640), Wishes(), machine)[0] == (256, 256)
    assert machine.measured == []


@pytest.mark.parametrize(
    ("own", "defect", "size"),
    [
        ((640, 640), 10, (256, 256)),
        ((640, 640), 5, (512, 512)),
        ((480, 640), 3, (480, 640)),
        ((100, 100), 40, (64, 64)),
    ],
)
def test_a_defect_covers_four_pixels_where_the_images_have_them(
    own: tuple[int, int], defect: float, size: tuple[int, int]
) -> None:
    chosen, _ = choose_size(own, Wishes(smallest_defect=defect), Machine(1.0))
    assert chosen == size
    assert defect * max(chosen) / max(own) >= min(4.0, defect)


def test_a_small_defect_that_takes_longer_than_usual_says_the_cost() -> None:
    size, (line,) = choose_size((640, 640), Wishes(smallest_defect=5), Machine(10.0))
    assert size == (512, 512)
    assert line == (
        "defects of 5 pixels need an input of 512×512, which takes about 40 ms a frame on 2 threads of this machine; "
        "in 20 ms, defects of 7 pixels could be found (--frame-budget)"
    )
    assert choose_size((640, 640), Wishes(smallest_defect=7.2), Machine(10.0))[0] == (368, 368)
    assert DEFAULT_BUDGET_MILLISECONDS == 20.0


def test_a_defect_that_the_budget_does_not_allow_is_one_line() -> None:
    with pytest.raises(
        TrainingError, match=r"which takes about 62 ms a frame .* wanted at most 20 ms: allow more time"
    ) as caught:
        choose_size((640, 640), Wishes(smallest_defect=4, budget_milliseconds=20), Machine(10.0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("milliseconds", "side"), [(5.0, 512), (20.0, 256), (80.0, 128), (0.1, 640)])
def test_a_budget_chooses_the_largest_size_within_it(milliseconds: float, side: int) -> None:
    size, _ = choose_size((640, 640), Wishes(budget_milliseconds=20), Machine(milliseconds))
    assert size == (side, side)


def test_a_budget_that_no_size_keeps_gives_a_warning() -> None:
    size, lines = choose_size((640, 640), Wishes(budget_milliseconds=1), Machine(100.0))
    assert size == (64, 64)
    assert lines[0].startswith(
        "a frame of 64×64 takes about 6.2 ms on 2 threads of this machine, more than the budget of 1"
    )


def test_images_are_not_enlarged_for_a_defect() -> None:
    assert side_for_defect((100, 100), 1) == 112


@pytest.mark.parametrize(
    "wishes", [{"smallest_defect": 0.5}, {"budget_milliseconds": 0.0}, {"budget_milliseconds": -1.0}]
)
def test_impossible_wishes_are_rejected(wishes: dict[str, float]) -> None:
    with pytest.raises(TrainingError, match="wanted"):
        Wishes(**wishes)


def test_a_size_that_is_given_is_not_chosen(tmp_path: Path) -> None:
    wishes = Wishes(smallest_defect=9)
    plan = TrainingPlan(tmp_path, out=tmp_path / "x.bundle", recipe="scratch", size=64, wishes=wishes)
    with pytest.raises(TrainingError, match="the size is given, so neither"):
        train_model(plan)


def ticks(*milliseconds: float) -> Callable[[], float]:
    """A clock by which calls take these times, again and again."""
    passed = accumulate(tick for time in cycle(milliseconds) for tick in (0.0, time / 1e3))
    return lambda: next(passed)


@pytest.mark.parametrize(
    ("together", "alone", "wanted"),
    [((5.0, 900.0), (9.0,), 5.0), ((80.0, 90.0), (9.0,), 9.0), ((5.0, 5.0), (3.0,), 3.0)],
    ids=["half of the calls interrupted", "busy machine", "small model"],
)
def test_the_time_of_a_frame_is_that_without_other_programs(
    tiny_bundle: Bundle, together: tuple[float, ...], alone: tuple[float, ...], wanted: float
) -> None:
    model, frames = tiny_bundle.read(MODEL), tiny_bundle.reference().frames
    assert frame_milliseconds(model, frames, clock=ticks(*together), own_clock=ticks(*alone)) == wanted


@pytest.mark.slow
def test_the_time_of_a_model_is_measured_before_it_is_trained() -> None:
    small, large = (estimate_milliseconds(find_recipe("scratch"), size, {}) for size in ((64, 64), (256, 256)))
    assert 0.1 < small < large
