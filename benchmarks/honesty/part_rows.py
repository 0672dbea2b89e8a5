"""Rows of lines that judge parts: real frames, one a part, and the simulator's parts of four frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.honesty.row import Case, Row, Scores, Truth
from benchmarks.honesty.station import FRAMES_PER_SECOND, Setup, first_window, second_window
from calibration import TrainingScores

# A window takes at most this share of a set's parts, so that the others tell what it realises. Windows that are not
# about their length take less of it.
_MOST_OF_SET, _LITTLE_OF_SET = 0.7, 0.25

_WINDOWS = (50, 100, 300, 1_000, 3_000)
_PER_100, _PER_1000 = "1 per 100 parts", "1 per 1000 parts"


@dataclass(frozen=True, slots=True)
class PartScores:
    """Scores of the parts of a set, none of which the model was trained on."""

    name: str
    good: Scores
    """Of good parts [N, frames of a part]."""
    bad: Scores
    """Of bad parts [M, frames of a part]."""
    training: TrainingScores | None
    changed: dict[str, Scores]
    """Of good parts after a change of the line, [K, frames of a part]."""

    @property
    def setup(self) -> Setup:
        """The camera, with what its bundle knows."""
        return Setup(parts=True, frames_per_part=self.good.shape[1], training=self.training)

    @property
    def window(self) -> int:
        """Length of a window that leaves most of the set."""
        return _window_from(self.good)

    def truth(self, good: Scores, bad: Scores | None = None) -> Truth:
        """The truth of a line of such good parts, whose bad ones are `bad`, by default those of the set."""
        rising = np.sort(good.max(axis=1))
        return Truth(
            lambda level: 1 - float(np.searchsorted(rising, level, side="right")) / rising.size,
            FRAMES_PER_SECOND / good.shape[1],
            (self.bad if bad is None else bad).max(axis=1, initial=-np.inf),
        )


def _window_from(good: Scores) -> int:
    return max(frames for frames in (50, 100, 300) if frames <= max(50, _LITTLE_OF_SET * len(good)))


def part_rows(found: PartScores, lines: int) -> Iterator[Row]:
    """Yield the rows of a set."""
    for budget in (_PER_100, _PER_1000):
        # A set cannot show a rate of less than a few of its parts.
        if len(found.good) >= 3 * float(budget.split()[2]) or budget == _PER_100:
            for window in _WINDOWS:
                if window <= _MOST_OF_SET * len(found.good):
                    yield _clean(found, budget, window, lines)
    for confirmed in (False, True):
        yield _rare_kind(found, confirmed, lines)
    for share in (0.05, 0.1, 0.3):
        yield _with_defects(found, share, lines)
    changed = found.changed or {"scores up by a tenth": 1.1 * found.good}
    for name, after in changed.items():
        if found.changed:
            yield _clean(
                replace(found, good=after), _PER_100, _window_from(after), lines, situation=f"started with {name}"
            )
        for fresh in (False, True):
            yield _drifted(found, name, after, fresh, lines)


def _clean(found: PartScores, budget: str, window: int, lines: int, *, situation: str = "good parts") -> Row:
    truth = found.truth(found.good, found.bad if situation == "good parts" else found.bad[:0])
    drawn = (np.random.default_rng(seed).permutation(found.good) for seed in range(lines))
    cases = (
        Case(first_window(found.setup, budget, scores[:window]), truth, scores[window:].max(axis=1)) for scores in drawn
    )
    return Row.of(situation, found.name, window, budget, cases)


def _rare_kind(found: PartScores, confirmed: bool, lines: int) -> Row:
    """3 % of the good parts are of a kind that scores like the bad ones: only a person knows that they are good."""
    setup = found.setup if confirmed else replace(found.setup, training=None)
    every = np.concatenate((found.good, found.bad[: max(1, round(0.03 * len(found.good)))]))

    def case(seed: int) -> Case:
        scores = np.random.default_rng(seed).permutation(every)
        window = first_window(setup, _PER_100, scores[: found.window], confirm_good=confirmed)
        return Case(window, found.truth(every, found.bad[:0]), scores[found.window :].max(axis=1))

    how = "confirmed" if confirmed else "left out, not looked at"
    return Row.of(f"3 % a rare kind of good part, {how}", found.name, found.window, _PER_100, map(case, range(lines)))


def _with_defects(found: PartScores, share: float, lines: int) -> Row:
    count = min(round(share * found.window), len(found.bad) // 2)

    def case(seed: int) -> Case:
        chance = np.random.default_rng(seed)
        scores, bad = chance.permutation(found.good), chance.permutation(found.bad)
        window, later = scores[: found.window].copy(), scores[found.window :].max(axis=1)
        window[chance.choice(found.window, count, replace=False)] = bad[:count]
        return Case(first_window(found.setup, _PER_100, window), found.truth(found.good), later)

    return Row.of(f"{share:.0%} of defects in the window", found.name, found.window, _PER_100, map(case, range(lines)))


def _drifted(found: PartScores, name: str, after: Scores, fresh: bool, lines: int) -> Row:
    """A line was calibrated, then it changed, then it is recalibrated."""
    truth, length = found.truth(after, found.bad[:0]), _window_from(after)

    def case(seed: int) -> Case:
        chance = np.random.default_rng(seed)
        first = chance.permutation(found.good)[:length]
        # With replacement: all of `after` is what follows.
        second = chance.choice(after, 3 * length)
        window = second_window(found.setup, _PER_100, first, second, fresh=fresh)
        return Case(window, truth, after.max(axis=1))

    situation = f"recalibrated after {name}{', --fresh' if fresh else ''}"
    return Row.of(situation, found.name, length, _PER_100, map(case, range(lines)))
