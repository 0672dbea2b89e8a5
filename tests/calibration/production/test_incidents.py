"""Alarms that belong together, and what they do to the variance of a count."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.production.incidents import INCIDENT_SPAN, dispersion, incident_sizes, incident_starts


def test_every_alarm_is_in_one_incident_of_limited_length() -> None:
    positions = np.sort(np.random.default_rng(0).uniform(0.0, 2.0, 400))
    starts = incident_starts(positions)
    incidents = np.split(positions, starts[1:])
    assert starts[0] == 0
    assert sum(incident.size for incident in incidents) == 400
    assert max(incident[-1] - incident[0] for incident in incidents) < INCIDENT_SPAN
    assert np.diff(positions[starts]).min() >= INCIDENT_SPAN


def test_alarms_at_one_moment_are_one_incident() -> None:
    assert incident_starts([1.0, 1.0, 1.0]).tolist() == [0]
    assert incident_starts([]).size == 0


@pytest.mark.parametrize("size", [2.0, 5.0])
def test_dispersion_is_the_variance_of_the_count_over_its_mean(size: float) -> None:
    """Of geometric sizes: E[S²]/E[S] = 2 m - 1."""
    rng = np.random.default_rng(1)
    begun = np.cumsum(rng.exponential(1.0, 4000))
    positions = np.sort(np.concatenate([at + np.linspace(0, 1e-4, rng.geometric(1 / size)) for at in begun]))
    assert dispersion(incident_sizes(positions)) == pytest.approx(2 * size - 1, rel=0.1)
