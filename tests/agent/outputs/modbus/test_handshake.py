"""The handshake step by step, and everything that may go wrong between PLC and agent."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from agent.core.records import NotJudged, PartVerdict, Phase
from agent.outputs.modbus.handshake import STALE_SECONDS, Handshake, Holdings, Trigger
from agent.outputs.modbus.register_map import NO_VALUE, VERDICT_BITS, Control, Inputs, Rejection, Status
from tests.agent.outputs.modbus.support import part, state

TRIGGER, ACKNOWLEDGE, RESET = Control.TRIGGER, Control.ACKNOWLEDGE, Control.RESET
VERDICT = Status.OK | Status.NOK | Status.NOT_JUDGED


@dataclass
class Plc:
    """Writes like a PLC, with a clock of its own."""

    handshake: Handshake
    now: float = 100.0

    def write(self, control: int, number: int = 0, product: int = 0) -> Trigger | None:
        self.now += 0.01
        return self.handshake.write(Holdings(int(control), product, number), self.now)

    def trigger(self, number: int) -> Trigger:
        trigger = self.write(TRIGGER, number)
        assert trigger is not None
        return trigger

    def show(self, name: str, verdict: PartVerdict = PartVerdict.OK, *, started: float | None = None) -> None:
        self.now += 0.01
        self.handshake.show(part(name, verdict, started=self.now if started is None else started), self.now)

    @property
    def inputs(self) -> Inputs:
        return self.handshake.inputs(self.now)

    @property
    def status(self) -> Status:
        return Status(self.inputs.status) & ~Status.HEARTBEAT


@pytest.fixture
def plc() -> Plc:
    """In front of an armed camera with a trigger; it has written 0."""
    made = Plc(Handshake("line1", session=7))
    made.handshake.update(state(), made.now)
    made.write(0)
    return made


READY = Status.READY | Status.ARMED | Status.TRIGGERED
BUSY = Status.BUSY | Status.ARMED | Status.TRIGGERED
RESULT = Status.RESULTS_READY | Status.ARMED | Status.TRIGGERED


@pytest.mark.parametrize("verdict", PartVerdict)
def test_handshake_shows_the_result_until_it_is_acknowledged(plc: Plc, verdict: PartVerdict) -> None:
    assert plc.status == READY
    trigger = plc.write(TRIGGER, 4711, product=3)
    assert trigger is not None
    assert (trigger.part, trigger.number, trigger.product) == ("4711", 4711, 3)
    assert plc.status == BUSY
    plc.show("4711", verdict)
    assert plc.status == RESULT | VERDICT_BITS[verdict]
    inputs = plc.inputs
    assert (inputs.part, inputs.product, inputs.score, inputs.threshold) == (4711, 3, 0.25, 0.5)
    plc.write(TRIGGER, 4711)
    assert plc.status == RESULT | VERDICT_BITS[verdict], "nothing changes before the acknowledgement"
    plc.write(ACKNOWLEDGE)
    assert plc.status == READY
    assert (plc.inputs.part, plc.inputs.verdict, plc.inputs.score) == (0, 0, NO_VALUE)
    assert plc.write(TRIGGER, 4712), "the next trigger may come with the end of the acknowledgement"


def test_nothing_is_ready_before_the_camera_is_armed() -> None:
    plc = Plc(Handshake("line1", session=7))
    plc.write(0)
    assert plc.status == Status(0)
    plc.handshake.update(state(Phase.CALIBRATING, ready=False), plc.now)
    assert plc.write(TRIGGER, 1) is None
    assert Status.REJECTED in plc.status
    assert plc.inputs.rejection == Rejection.NOT_READY
    plc.handshake.update(state(), plc.now)
    assert Status.READY not in plc.status, "the trigger is still set"
    plc.write(0)
    assert plc.status == READY


def test_a_trigger_that_is_still_set_after_a_restart_is_none() -> None:
    """A PLC that writes its outputs in every cycle still holds the trigger of the part that the kill interrupted."""
    plc = Plc(Handshake("line1", session=8))
    plc.handshake.update(state(), plc.now)
    for _ in range(3):
        assert plc.write(TRIGGER, 4711) is None
        assert Status.READY not in plc.status
        assert Status.REJECTED in plc.status
    plc.write(0)
    assert plc.status == READY


def test_a_result_of_another_part_is_not_shown(plc: Plc) -> None:
    plc.trigger(2)
    plc.show("1", PartVerdict.NOK)
    plc.show("22")
    assert plc.status == BUSY
    plc.show("2")
    assert plc.inputs.part == 2


def test_an_earlier_result_with_the_same_part_number_is_not_shown(plc: Plc) -> None:
    """A command that timed out may be carried out later, and its result arrive during the next try."""
    before = plc.now
    first = plc.trigger(5)
    plc.handshake.rejected(first)
    assert plc.inputs.rejection == Rejection.AGENT
    plc.write(0)
    plc.trigger(5)
    plc.show("5", PartVerdict.OK, started=before + 0.011)
    assert plc.status == BUSY
    plc.show("5", PartVerdict.NOK)
    assert plc.status == RESULT | Status.NOK


def test_rejection_of_an_earlier_trigger_does_not_end_the_next_one(plc: Plc) -> None:
    first = plc.trigger(1)
    plc.show("1")
    plc.write(ACKNOWLEDGE)
    plc.trigger(2)
    plc.handshake.rejected(first)
    assert plc.status == BUSY


def test_a_second_trigger_while_busy_is_rejected(plc: Plc) -> None:
    plc.trigger(1)
    plc.write(0)
    assert plc.write(TRIGGER, 2) is None
    assert plc.status == BUSY | Status.REJECTED
    plc.show("2")
    assert Status.RESULTS_READY not in plc.status
    plc.show("1")
    assert plc.inputs.part == 1
    assert plc.inputs.rejected_count == 1


def test_a_reset_drops_the_result_that_is_on_its_way(plc: Plc) -> None:
    plc.trigger(1)
    plc.write(RESET)
    plc.write(0)
    assert plc.status == BUSY
    assert plc.write(TRIGGER, 1) is None, "not before the result is there: it would be taken for this one"
    plc.write(0)
    plc.show("1")
    assert plc.status == READY
    plc.trigger(1)
    plc.show("1", PartVerdict.NOK)
    assert plc.status == RESULT | Status.NOK


def test_a_reset_takes_a_result_away(plc: Plc) -> None:
    plc.trigger(1)
    plc.show("1")
    plc.write(RESET)
    assert plc.status == READY


def test_an_acknowledgement_that_was_left_set_does_not_take_the_next_result_away(plc: Plc) -> None:
    plc.trigger(1)
    plc.show("1")
    plc.write(ACKNOWLEDGE)
    plc.write(ACKNOWLEDGE | TRIGGER, 2)
    plc.show("2")
    plc.write(ACKNOWLEDGE | TRIGGER, 2)
    assert plc.status == RESULT | Status.OK


def test_nothing_is_ready_without_news_from_the_agent(plc: Plc) -> None:
    plc.now += STALE_SECONDS
    assert Status.READY not in plc.status
    assert plc.write(TRIGGER, 1) is None


def test_nothing_is_ready_while_the_agent_stops(plc: Plc) -> None:
    plc.handshake.stop()
    assert plc.status == Status.TRIGGERED


def test_blind_camera_alarm_and_drift_are_shown(plc: Plc) -> None:
    plc.handshake.update(state(Phase.BLIND, ready=False, alarm="a", drift=True, shift=1.0), plc.now)
    assert plc.status == Status.BLIND | Status.ALARM | Status.DRIFT | Status.TRIGGERED
    assert plc.inputs.phase == 6


def test_reason_of_a_part_that_was_not_judged_is_shown(plc: Plc) -> None:
    plc.trigger(1)
    late = part("1", PartVerdict.NOT_JUDGED, started=plc.now + 1, reason=NotJudged.LATE, score=None)
    plc.handshake.show(late, plc.now + 2)
    assert (plc.inputs.verdict, plc.inputs.reason, plc.inputs.score) == (3, 5, NO_VALUE)


def test_a_dry_run_shows_no_verdict(caplog: pytest.LogCaptureFixture) -> None:
    plc = Plc(Handshake("line1", session=7, dry_run=True))
    plc.handshake.update(state(), plc.now)
    plc.write(0)
    plc.trigger(1)
    with caplog.at_level("INFO"):
        plc.show("1", PartVerdict.NOK)
    assert plc.status == RESULT | Status.DRY_RUN
    assert not plc.status & VERDICT
    assert (plc.inputs.verdict, plc.inputs.dry_run_verdict) == (0, 2)
    assert "dry run: camera line1, part 1: nok would be shown to the PLC" in caplog.text


def test_results_without_a_trigger_follow_each_other() -> None:
    plc = Plc(Handshake("line1", session=7))
    plc.show("early")
    assert plc.status == Status(0), "before the first state"
    plc.handshake.update(state(ready=None), plc.now)
    plc.show("a", PartVerdict.NOK)
    assert plc.status == Status.RESULTS_READY | Status.NOK | Status.ARMED
    plc.show("b")
    assert plc.status == Status.RESULTS_READY | Status.OK | Status.ARMED
    assert (plc.inputs.result_number, plc.inputs.overwritten_count) == (2, 1)
    plc.write(ACKNOWLEDGE)
    assert plc.status == Status.ARMED
    assert (plc.inputs.ok_count, plc.inputs.nok_count) == (2, 1)
