"""The reject gate without hardware."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.outputs.gpio.gate import MOST_WAITING, Gate

times = st.floats(min_value=0.0, max_value=100.0)


@given(st.lists(times, max_size=30))
def test_the_gate_is_open_exactly_while_a_rejected_part_is_there(starts: list[float]) -> None:
    """Parts in any order; looked at every 10 ms, it is never open elsewhere."""
    gate = Gate(pulse_seconds=0.5, distance=2.0)
    assert all(gate.reject(start, 0.0) for start in starts)
    for step in range(0, 10_400, 10):
        now = step / 100.0
        # Where the look itself comes a step after the part, the pulse begins with the look.
        there = any(start + 2.0 <= now < start + 2.0 + 0.5 for start in starts)
        near = any(start + 2.0 <= now < start + 2.0 + 0.5 + 0.1 for start in starts)
        opened = gate.is_open(now, now)
        assert opened or not there
        assert near or not opened


@given(times, times)
def test_a_part_that_has_passed_never_opens_the_gate(start: float, place: float) -> None:
    gate = Gate(pulse_seconds=0.5, distance=1.0)
    accepted = gate.reject(start, place)
    assert accepted is (start + 1.0 >= place)
    if not accepted:
        assert not any(gate.is_open(place + step / 10.0, place + step / 10.0) for step in range(20))


def test_without_a_distance_the_gate_opens_with_the_result() -> None:
    gate = Gate(pulse_seconds=0.5, distance=None)
    assert gate.reject(start=1.0, place=7.0)
    assert gate.is_open(7.0, 7.0)
    assert not gate.is_open(7.5, 7.5)


def test_more_parts_than_can_be_on_the_way_are_not_taken() -> None:
    gate = Gate(pulse_seconds=0.5, distance=1.0)
    assert all(gate.reject(0.0, 0.0) for _ in range(MOST_WAITING))
    assert not gate.reject(0.0, 0.0)


def test_the_next_look_is_when_something_changes() -> None:
    gate = Gate(pulse_seconds=0.5, distance=2.0)
    assert gate.wait_seconds(0.0, timed=True) is None
    gate.reject(1.0, 0.0)
    assert gate.wait_seconds(0.0, timed=True) == 3.0
    assert gate.wait_seconds(0.0, timed=False) is None
    assert gate.is_open(3.0, 3.0)
    assert gate.wait_seconds(3.25, timed=True) == 0.25
