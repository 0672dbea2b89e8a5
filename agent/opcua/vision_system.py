"""One camera, or a group that sees the same part, as a vision system: its state, jobs, results and alarms."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from asyncua import ua

from agent.core.errors import Permanent
from agent.core.records import Phase
from agent.messages import StatePayload
from agent.opcua.address_space.events import FAULT, INFORMATION, WARNING, Events, Fields, identity
from agent.opcua.address_space.model import SystemNodes
from agent.opcua.address_space.states import State, state_of
from agent.opcua.address_space.values import Job, Results, result_value
from agent.opcua.state_machine import StateMachine

log = logging.getLogger(__name__)


class VisionSystem:
    """Takes in what the agent reports of a camera or a group, and shows it. For the thread of the event loop."""

    def __init__(self, place: str, products: Sequence[str], nodes: SystemNodes) -> None:
        """`place`: the name of the camera, or `parts/NAME` for a group."""
        self.place = place
        self.cameras: Sequence[str] = (place,)
        """What is commanded: of a group, its cameras, which the agent reports."""
        self.products = products
        self.nodes = nodes
        self.events = Events(nodes)
        self.machine = StateMachine(nodes, self.events)
        self.results = Results()
        self.product: str | None = None
        """The product that is prepared."""
        self.triggered = False
        """Parts are announced one by one."""
        self.job: Job | None = None
        """What a client has started, until its result is there."""
        self._announced: Job | None = None
        """The latest job of which clients know that it has started."""
        self.stopped = False
        """A client has stopped the continuous execution."""
        self._stopped_monotonic = 0.0
        self.run = ""
        """The job of all results of parts that no client has started: the run of the agent."""
        self._state: StatePayload | None = None

    # From the agent

    async def show(self, state: StatePayload, asked_monotonic: float) -> None:
        """Take in the state of the camera, or of the group.

        `asked_monotonic`: when the agent was asked for it, seconds. A state from before a stop does not end it.
        """
        self._state = state
        self.product = state.product
        self.triggered = state.ready is not None
        if state.phase is not Phase.PAUSED and asked_monotonic > self._stopped_monotonic:
            self.stopped = False
        await self.settle()

    async def settle(self, reason: str = "", *, caused: bool = False) -> None:
        """Go to the state that follows from what is known."""
        state = self._state
        if state is None:
            return
        wanted = state_of(
            state.phase,
            triggered=self.triggered,
            ready=state.ready is True,
            busy=self.job is not None,
            stopped=self.stopped,
        )
        reason = reason or state.phase.value.replace("_", " ") + (f", {state.reason}" if state.reason else "")
        if await self.machine.go(wanted, reason, caused=caused) and wanted is State.READY:
            await self.events.send("ReadyEventType", "ready", INFORMATION, {"JobId": identity(self._job_id(None))})

    async def lost(self, reason: str) -> None:
        """The agent does not answer."""
        if self._state is not None or self.machine.state is State.PREOPERATIONAL:
            self._state = None
            await self.machine.go(State.ERROR, reason)

    async def restarted(self, run: str) -> None:
        """The agent is another one: a job of the one before has no result any more, and the client has to know."""
        job, self.run = self.job, run
        if job is not None:
            await self.abort_job(job, "the agent was restarted")

    async def take_result(self, event: Mapping[str, Any]) -> None:
        """Keep and show the result of a part."""
        job = self.job if self.job is not None and self.job.ends_with(event) else None
        result = result_value(event, job, self.run, datetime.now(timezone.utc))
        self.results.add(result)
        if job is not None:
            await self.job_started(job)
        verdict = str(event["verdict"]).replace("_", " ")
        await self.events.send("ResultReadyEventType", f"part {event['part']}: {verdict}", INFORMATION, _fields(result))
        # Before everything else is shown, which takes as long again; no client is answered in between.
        await self.nodes.model.publishing.publish()
        await self._show_latest(result)
        if job is not None and self.job is job:
            self.job = None
            await self.settle(f"part {event['part']} has its result")

    async def take_alarm(self, event: Mapping[str, Any]) -> None:
        """Report an alarm about a part or the camera."""
        about = "a defect" if event["of"] == "defect" else "the camera"
        text = f"alarm {event['id']} {event['event']}: {about}" + (f", {event['reason']}" if event["reason"] else "")
        severity = INFORMATION if event["event"] == "cleared" else WARNING if event["of"] == "defect" else FAULT
        fields = {"CausePath": (f"alarm/{event['id']}", ua.VariantType.String)}
        await self.events.send("VisionInformationEventType", text, severity, fields)

    # From clients

    def stop(self) -> None:
        """A client stops the continuous execution, or the agent has just been paused for that."""
        self.stopped, self._stopped_monotonic = True, time.monotonic()

    def begin_job(self, part: str, measurement: str) -> Job:
        """A client starts a job: no other one is accepted from now on. Raises Permanent where it is not ready."""
        if self.machine.state is not State.READY or self.job is not None or not self.triggered:
            raise Permanent("not ready")
        self.job = Job(str(uuid.uuid4()), part, measurement, time.monotonic())
        return self.job

    async def end_job(self, job: Job, reason: str) -> None:
        """The agent has rejected the job, or a client has aborted it."""
        if self.job is job:
            self.job = None
            await self.settle(reason, caused=True)

    async def abort_job(self, job: Job, reason: str) -> None:
        """A job that a client waits for will have no result of the agent: it gets one that says so."""
        if self.job is not job:
            return
        await self.take_result(
            {
                "id": str(uuid.uuid4()),
                "part": job.part,
                "product": self.product,
                "calibration": None,
                "verdict": "not_judged",
                "reason": reason,
                "score": None,
                "threshold": None,
                "alarm": None,
                "captured_at": datetime.now(timezone.utc).isoformat(),
                "announced": True,
                "started_monotonic": time.monotonic(),
                "aborted": True,
            }
        )

    async def job_started(self, job: Job) -> None:
        """The agent has accepted the job, or has its result already: show, once, that it has started."""
        if self.job is not job or self._announced is job:
            return
        self._announced = job
        await self.settle(f"job for part {job.part}", caused=True)
        fields = {"JobId": identity(self._job_id(job))}
        await self.events.send("JobStartedEventType", f"job for part {job.part}", INFORMATION, fields)

    async def product_prepared(self, product: str) -> None:
        """The agent has accepted another product."""
        self.product = product
        fields: Fields = {
            "InternalId": identity(ua.RecipeIdInternalDataType(Id=product)),
            "ProductId": identity(ua.ProductIdDataType(Id=product)),
        }
        await self.events.send("RecipePreparedEventType", f"product {product}", INFORMATION, fields)

    async def product_rejected(self, product: str) -> None:
        """The agent has not accepted another product, perhaps after the client's call had returned."""
        await self.events.send("VisionInformationEventType", f"product {product} could not be prepared", WARNING)

    def _job_id(self, job: Job | None) -> Any:
        return ua.JobIdDataType(Id=self.run if job is None else job.id)

    async def _show_latest(self, result: Any) -> None:
        place = "ResultManagement/Results/Latest"
        for field, (value, kind) in _fields(result).items():
            await self.nodes.write(f"{place}/{field}", value, kind)
        await self.nodes.write(place, result, ua.VariantType.ExtensionObject)


def _fields(result: Any) -> Fields:
    """The fields of a result, for its event and its variable."""
    structures = (
        "ResultId", "JobId", "MeasId", "PartId", "ProductId", "InternalRecipeId", "InternalConfigurationId",
        "ProcessingTimes",
    )  # fmt: skip
    return {
        **{name: identity(getattr(result, name)) for name in structures},
        "IsPartial": (result.IsPartial, ua.VariantType.Boolean),
        "IsSimulated": (result.IsSimulated, ua.VariantType.Boolean),
        "ResultState": (result.ResultState, ua.VariantType.Int32),
        "CreationTime": (result.CreationTime, ua.VariantType.DateTime),
        "ResultContent": (result.ResultContent, ua.VariantType.Variant),
    }
