"""The state machine without a server."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("asyncua", reason="the extra opcua is not installed")
from agent.opcua.address_space.model import NODESET, STATES
from agent.opcua.address_space.states import CAUSED, TRANSITIONS, State, state_of, way
from agent.opcua.address_space.values import Job

NAMES = {"u": "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"}


def test_transitions_are_those_of_the_nodeset() -> None:
    """Name, number, beginning and end of each."""
    nodes = {node.get("NodeId"): node for node in ET.parse(NODESET).getroot() if node.get("NodeId")}
    numbers = {f"ns=1;i={number}": name for name, number in STATES.items()}
    names = {node: nodes[node].get("BrowseName") for node in numbers}
    assert names == {node: f"1:{name}" for node, name in numbers.items()}
    for step in TRANSITIONS:
        for name in {step.name, CAUSED.get(step.name, step.name)}:
            references = nodes[f"ns=1;i={STATES[name]}"].findall("u:References/u:Reference", NAMES)
            ends = {each.get("ReferenceType"): numbers.get(each.text or "") for each in references}
            begin, end = _shown(step.begin, name, at="begin"), _shown(step.end, name, at="end")
            assert (ends["FromState"], ends["ToState"]) == (begin, end), name


def _shown(state: State, transition: str, *, at: str) -> str:
    """Transitions that leave the automatic mode begin at the state around it."""
    whole = at == "begin" and state.operational and transition.startswith("Operational")
    return "Operational" if whole else state.value


@pytest.mark.parametrize(("begin", "end"), list(itertools.product(State, State)))
def test_there_is_a_way_from_each_state_to_each_other(begin: State, end: State) -> None:
    steps = way(begin, end)
    assert [step.begin for step in steps] + [end] == [begin] + [step.end for step in steps]


@pytest.mark.parametrize(
    "phase", ["starting", "calibrating", "refused", "paused", "camera_lost", "blind", "no_product", "stopped", "newer"]
)
def test_no_phase_but_armed_is_ready_or_executes(phase: str) -> None:
    for triggered, ready, busy in itertools.product((True, False), repeat=3):
        state = state_of(phase, triggered=triggered, ready=ready, busy=busy, stopped=False)
        assert state not in (State.READY, State.SINGLE_EXECUTION, State.CONTINUOUS_EXECUTION)


@pytest.mark.parametrize(
    ("event", "ends"),
    [
        ({}, True),
        ({"part": "SN-2"}, False),
        ({"announced": False}, False),
        ({"started_monotonic": 9.9}, False),
    ],
)
def test_a_job_ends_with_the_result_of_its_part_and_of_no_earlier_inspection(
    event: dict[str, object], ends: bool
) -> None:
    """After Abort, the same part may be inspected again while the first result is on its way."""
    job = Job("j", "SN-1", "", started_monotonic=10.0)
    assert job.ends_with({"part": "SN-1", "announced": True, "started_monotonic": 10.1, **event}) is ends
