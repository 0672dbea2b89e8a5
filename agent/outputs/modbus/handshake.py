"""One camera's side of the handshake with the PLC: ready, trigger, busy, results ready, acknowledge.

No thread, no clock, no I/O. A result is shown only for the trigger that is in progress: its part number, and a start
that is not earlier than the trigger. After the start of the agent, a trigger that the PLC still holds from before is
none: `ready` wants to see the trigger bit at 0 first.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from agent.core.records import NotJudged, Part, PartVerdict, Phase
from agent.messages import StatePayload
from agent.outputs.modbus.register_map import (
    CONTROL_MASK,
    NO_VALUE,
    PHASES,
    REASONS,
    UNKNOWN,
    VERDICT_BITS,
    VERDICTS,
    Control,
    Inputs,
    Rejection,
    Status,
)

log = logging.getLogger(__name__)

# States are published every five seconds. Without one for this long, the agent is not ready.
STALE_SECONDS = 15.0

# The heartbeat counts up this often a second.
HEARTBEAT_HERTZ = 2.0

# Counters have 32 bits.
_WRAP = 1 << 32


class Step(Enum):
    """Where the handshake is."""

    IDLE = "idle"
    BUSY = "busy"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A part that the PLC announced."""

    number: int
    product: int
    asked_monotonic: float
    """When the trigger arrived, seconds."""
    product_name: str | None = None
    """Name of the product, where the settings name one for the number."""

    @property
    def part(self) -> str:
        """Id of the part."""
        return str(self.number)


@dataclass(slots=True)
class Holdings:
    """What the PLC wrote, by the names of the rows of `HOLDINGS`."""

    control: int = 0
    product: int = 0
    part: int = 0


class Handshake:
    """The registers of one camera. For one thread."""

    def __init__(
        self, camera: str, *, session: int, dry_run: bool = False, products: Mapping[int, str] | None = None
    ) -> None:
        """Args:
        camera: its name, for the log.
        session: number of this run, 1 to 65535.
        dry_run: log the verdict that would be shown, and show none.
        products: the names of product numbers; None or empty: numbers are only passed through.
        """
        self.holdings = Holdings()
        self._camera = camera
        self._products = products or {}
        self._dry_run = dry_run
        self._inputs = Inputs(session=session)
        self._state: StatePayload | None = None
        self._state_monotonic = 0.0
        self._step = Step.IDLE
        self._trigger: Trigger | None = None
        self._abandoned = False
        """The PLC has reset the handshake while the result was on its way."""
        self._released = False
        """The PLC has written the trigger bit as 0 since the agent started."""
        self._stopping = False

    @property
    def triggered(self) -> bool:
        """Whether parts of this camera are announced by a trigger."""
        return self._state is not None and self._state.ready is not None

    def ready(self, now: float) -> bool:
        """Whether a trigger would be accepted; `now`: monotonic seconds."""
        fresh = self._state is not None and now - self._state_monotonic < STALE_SECONDS
        armed = fresh and self._state is not None and self._state.ready is True
        waiting = self._step is Step.IDLE and self._released and not self.holdings.control & Control.TRIGGER
        return armed and waiting and not self._stopping

    # From the PLC

    def write(self, holdings: Holdings, now: float) -> Trigger | None:
        """Take over what the PLC has written; returns the trigger to carry out, if it is one."""
        before, holdings.control = self.holdings.control, holdings.control & CONTROL_MASK
        rising = Control(holdings.control & ~before)
        ready = self.ready(now)
        self.holdings = holdings
        if Control.RESET in rising:
            self._reset()
        if Control.ACKNOWLEDGE in rising and self._step is Step.RESULT:
            self._clear()
        if not holdings.control & Control.TRIGGER:
            self._released = True
            self._inputs.rejection = Rejection.NONE
        return self._begin(now, ready) if Control.TRIGGER in rising else None

    def _begin(self, now: float, ready: bool) -> Trigger | None:
        if not ready:
            self._reject(Rejection.NOT_READY)
            return None
        number = self.holdings.product
        if self._products and number and number not in self._products:
            self._reject(Rejection.PRODUCT)
            return None
        self._step = Step.BUSY
        self._inputs.rejection = Rejection.NONE
        self._trigger = Trigger(self.holdings.part, number, now, self._products.get(number))
        return self._trigger

    def changed_product(self, before: int) -> str | None:
        """Name of the product that the PLC has just written, where it is another number than `before`.

        A number that is not in the settings is rejected; None then, and without a change.
        """
        number = self.holdings.product
        if number == before or number == 0 or not self._products:
            return None
        if number not in self._products:
            self._reject(Rejection.PRODUCT)
        return self._products.get(number)

    def _reset(self) -> None:
        if self._step is Step.BUSY:
            self._abandoned = True
        else:
            self._clear()

    def _clear(self) -> None:
        """Take the result away."""
        self._step, self._trigger, self._abandoned = Step.IDLE, None, False
        counted = ("session", "phase", "result_number", "ok_count", "nok_count")
        kept = (*counted, "not_judged_count", "rejected_count", "overwritten_count", "rejection")
        self._inputs = replace(Inputs(), **{name: getattr(self._inputs, name) for name in kept})

    # From the agent

    def rejected(self, trigger: Trigger, reason: Rejection = Rejection.AGENT) -> None:
        """The agent did not accept this trigger."""
        if self._trigger is trigger and self._step is Step.BUSY:
            self._clear()
            self._reject(reason)

    def product_rejected(self) -> None:
        """The agent does not inspect the product that the PLC has written."""
        self._reject(Rejection.PRODUCT)

    def _reject(self, reason: Rejection) -> None:
        self._inputs.rejection = reason
        self._inputs.rejected_count = (self._inputs.rejected_count + 1) % _WRAP

    def update(self, state: StatePayload, now: float) -> None:
        """Take over the state of the camera; `now`: monotonic seconds."""
        self._state, self._state_monotonic = state, now
        self._inputs.phase = PHASES.get(state.phase, UNKNOWN)

    def stop(self) -> None:
        """The agent stops: no further trigger is accepted."""
        self._stopping = True

    def show(self, part: Part, now: float) -> None:
        """Take in the result of a part: show it if it is that of the trigger, or if the camera has no trigger."""
        name = f"{part.verdict.value}_count"
        setattr(self._inputs, name, (getattr(self._inputs, name) + 1) % _WRAP)
        if self._state is None:
            # Whether its parts are triggered is not known before the first state.
            return
        if not self.triggered:
            self._inputs.overwritten_count += int(self._step is Step.RESULT)
            self._put(part, 0, 0, now)
            return
        trigger = self._trigger
        if trigger is None or self._step is not Step.BUSY or not _belongs(part, trigger):
            return
        if self._abandoned:
            self._clear()
        else:
            self._put(_as_product(part, trigger), trigger.number, trigger.product, now)

    def _put(self, part: Part, number: int, product: int, now: float) -> None:
        self._step = Step.RESULT
        verdict = VERDICTS[part.verdict]
        self._inputs = replace(
            self._inputs,
            part=number,
            product=product,
            verdict=0 if self._dry_run else verdict,
            dry_run_verdict=verdict if self._dry_run else 0,
            reason=0 if part.reason is None or self._dry_run else REASONS.get(part.reason, UNKNOWN),
            score=NO_VALUE if part.score is None else part.score,
            threshold=NO_VALUE if part.threshold is None else part.threshold,
            result_number=(self._inputs.result_number + 1) % _WRAP,
            latency_ms=max(0.0, now - part.started_monotonic) * 1000.0,
        )
        if self._dry_run:
            log.info(
                "dry run: camera %s, part %s: %s would be shown to the PLC",
                self._camera,
                part.part,
                part.verdict.value,
                extra={"camera": self._camera, "part": part.part, "verdict": part.verdict.value},
            )

    # For the PLC

    def inputs(self, now: float) -> Inputs:
        """Everything that the PLC can read now; `now`: monotonic seconds."""
        self._inputs.heartbeat = int(now * HEARTBEAT_HERTZ) & 0xFFFF
        self._inputs.status = int(self._status(now))
        return self._inputs

    def _status(self, now: float) -> Status:
        state, inputs = self._state, self._inputs
        bits = {
            Status.HEARTBEAT: bool(inputs.heartbeat & 1),
            Status.READY: self.ready(now),
            Status.BUSY: self._step is Step.BUSY,
            Status.RESULTS_READY: self._step is Step.RESULT,
            Status.ARMED: state is not None and state.phase is Phase.ARMED and not self._stopping,
            Status.BLIND: state is not None and state.phase in (Phase.BLIND, Phase.CAMERA_LOST),
            Status.ALARM: state is not None and state.alarm is not None,
            Status.REJECTED: inputs.rejection != Rejection.NONE,
            Status.DRIFT: state is not None and state.drift,
            Status.DRY_RUN: self._dry_run,
            Status.TRIGGERED: self.triggered,
        }
        if self._step is Step.RESULT:
            bits |= {VERDICT_BITS[verdict]: inputs.verdict == VERDICTS[verdict] for verdict in PartVerdict}
        status = Status(0)
        for bit, is_set in bits.items():
            status |= bit if is_set else Status(0)
        return status


def _as_product(part: Part, trigger: Trigger) -> Part:
    """A part that was judged as another product, because somebody else has changed it meanwhile, is not judged.

    The result of a group names no product where its views have several.
    """
    if trigger.product_name in (None, part.product):
        return part
    return replace(part, verdict=PartVerdict.NOT_JUDGED, reason=NotJudged.NO_PRODUCT, score=None, threshold=None)


def _belongs(part: Part, trigger: Trigger) -> bool:
    """Whether a result is that of this trigger, and not of an earlier or another one with the same part number."""
    return part.part == trigger.part and part.started_monotonic >= trigger.asked_monotonic
