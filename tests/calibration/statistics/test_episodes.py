"""Episodes: the counts at every level equal those of a walk through the frames."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibration.statistics.episodes import EpisodeCounts, episode_starts

SERIES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=50)


def walked(statistic: list[float], level: float, quiet_frames: int) -> list[int]:
    """Return the frames at which an alarm is raised that is cleared after so many quiet frames."""
    raised, quiet = [], quiet_frames
    for frame, value in enumerate(statistic):
        if value > level:
            if quiet >= quiet_frames:
                raised.append(frame)
            quiet = 0
        else:
            quiet += 1
    return raised


@given(statistic=SERIES, quiet_frames=st.integers(1, 8))
def test_episode_counts_equal_a_walk_at_every_level(statistic: list[float], quiet_frames: int) -> None:
    counts = EpisodeCounts(statistic, quiet_frames=quiet_frames)
    for level in np.arange(-1.0, 7.0, 0.5):
        expected = walked(statistic, level, quiet_frames)
        assert counts.at(level) == len(expected)
        assert episode_starts(statistic, level, quiet_frames=quiet_frames).tolist() == expected


@given(statistic=SERIES, quiet_frames=st.integers(1, 4), many=st.integers(1, 20))
def test_highest_levels_are_where_the_counts_rise(statistic: list[float], quiet_frames: int, many: int) -> None:
    counts = EpisodeCounts(statistic, quiet_frames=quiet_frames)
    levels = counts.highest_levels(many)
    assert np.all(np.diff(levels) <= 0)
    for j, level in enumerate(levels, start=1):
        assert counts.at(np.nextafter(level, -np.inf)) >= j
        # At this level and above there are fewer.
        assert max(counts.at(each) for each in {level, *(v for v in statistic if v >= level)}) < j


def test_episode_counts_mapped_equal_counts_of_the_mapped_series() -> None:
    series = np.random.default_rng(0).standard_normal(500)
    levels = np.linspace(-1, 3, 9)
    mapped = EpisodeCounts(series).mapped(np.exp)
    assert np.array_equal(mapped.at_levels(np.exp(levels)), EpisodeCounts(series).at_levels(levels))
