"""The methods of a vision system: they check the caller's role, ask the agent, and say in `Error` what went wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from asyncua import ua

from agent.core.errors import InspectdError, Permanent, Temporary
from agent.core.roles import Role
from agent.opcua.address_space.states import State
from agent.opcua.address_space.values import MOST_LISTED, Error, Job, matches, text_of
from agent.opcua.security import Person, require
from agent.opcua.vision_system import VisionSystem
from agent.page.link.control import LOADING_SECONDS, AgentLink

log = logging.getLogger(__name__)

_MACHINE = "VisionStateMachine"
_AUTOMATIC = f"{_MACHINE}/AutomaticModeStateMachine"
_INT32, _UINT32, _STRUCTURE = ua.VariantType.Int32, ua.VariantType.UInt32, ua.VariantType.ExtensionObject
_BOOLEAN = ua.VariantType.Boolean

Outputs: TypeAlias = Any
"""The output arguments, or a status code where the method was not carried out."""
Method = Callable[..., Awaitable[Outputs]]

MAX_PART_LENGTH = 128

# asyncua carries out the requests of a connection one after the other: a method that takes longer makes clients believe
# that the server is gone; those of asyncua do so after a second.
ANSWER_SECONDS = 0.7

# The agent answers between two frames.
AGENT_SECONDS = 5.0


class Methods:
    """The methods of one camera or group."""

    def __init__(self, system: VisionSystem, link: AgentLink) -> None:
        self._system = system
        self._link = link
        self._going_on: set[asyncio.Task[Error]] = set()

    async def connect(self) -> None:
        """Make the methods callable."""
        table: dict[str, tuple[Role, Method]] = {
            f"{_MACHINE}/Halt": (Role.OPERATE, self._halt),
            f"{_MACHINE}/Reset": (Role.OPERATE, self._reset),
            f"{_AUTOMATIC}/StartSingleJob": (Role.OPERATE, self._start_single_job),
            f"{_AUTOMATIC}/StartContinuous": (Role.OPERATE, self._start_continuous),
            f"{_AUTOMATIC}/Stop": (Role.OPERATE, self._stop),
            f"{_AUTOMATIC}/Abort": (Role.OPERATE, self._abort),
            "ResultManagement/GetResultById": (Role.VIEW, self._get_result),
            "ResultManagement/GetResultComponentsById": (Role.VIEW, self._get_components),
            "ResultManagement/GetResultListFiltered": (Role.VIEW, self._list_results),
        }
        if self._system.products:
            table["RecipeManagement/PrepareProduct"] = (Role.OPERATE, self._prepare_product)
            table["RecipeManagement/PrepareRecipe"] = (Role.OPERATE, self._prepare_recipe)
            table["RecipeManagement/UnprepareRecipe"] = (Role.OPERATE, self._unprepare)
            table["RecipeManagement/GetRecipeListFiltered"] = (Role.VIEW, self._list_recipes)
        for path, (role, method) in table.items():
            node = await self._system.nodes.at(path)
            self._system.nodes.model.server.link_method(node, _checked(role, method, path.rpartition("/")[2]))

    async def _ask(self, caller: Person, command: str, **request: Any) -> Error:
        """Send a command to the camera, or to each camera of the group; what became of it, where not all took it."""
        steps = (self._ask_camera(caller, camera, command, **request) for camera in self._system.cameras)
        return max(await asyncio.gather(*steps), default=Error.REJECTED)

    async def _ask_camera(self, caller: Person, camera: str, command: str, **request: Any) -> Error:
        timeout = LOADING_SECONDS if command == "product" else AGENT_SECONDS
        sender = f"{caller.name} (OPC UA)"
        try:
            await self._link.ask(command, camera, sender=sender, timeout_seconds=timeout, **request)
        except Temporary as error:
            log.warning("camera %s: %s: %s", camera, command, error)
            return Error.NO_AGENT
        except Permanent as error:
            log.info("camera %s: %s rejected: %s", camera, command, error)
            return Error.REJECTED
        return Error.NONE

    async def _sent(self, caller: Person, command: str) -> Error:
        """As `_ask`; of a command that takes longer, the state will show whether it was carried out."""
        return await self._within_time(self._ask(caller, command)) or Error.NONE

    # The state machine

    async def _halt(self, caller: Person, *_: ua.Variant) -> Outputs:
        self._system.stopped = False
        return _error(await self._sent(caller, "pause"))

    async def _reset(self, caller: Person, *_: ua.Variant) -> Outputs:
        """Inspect again after Halt; from Error, the camera comes back by itself once its fault is gone."""
        if self._system.machine.state is not State.HALTED:
            return ua.StatusCode(ua.StatusCodes.BadInvalidState)
        return _error(await self._sent(caller, "resume"))

    async def _start_single_job(self, caller: Person, *inputs: ua.Variant) -> Outputs:
        """The trigger of a part."""
        measurement, part, recipe, product = (text_of(each.Value) for each in inputs[:4])
        system = self._system
        if not 0 < len(part) <= MAX_PART_LENGTH or not part.isprintable():
            return _job("", Error.WRONG_PART)
        if any(wanted and system.products and wanted != system.product for wanted in (recipe, product)):
            return _job("", Error.WRONG_PRODUCT)
        try:
            job = system.begin_job(part, measurement)
        except Permanent:
            return ua.StatusCode(ua.StatusCodes.BadInvalidState)
        returned = asyncio.Event()
        done = await self._within_time(self._trigger(caller, job, returned))
        returned.set()
        if done is None or done is Error.NONE:
            # After the trigger, which has left already: to show all of this takes milliseconds.
            await system.job_started(job)
            return _job(job.id, Error.NONE)
        await system.end_job(job, f"the trigger of part {part} was not accepted")
        return _job("", done)

    async def _trigger(self, caller: Person, job: Job, returned: asyncio.Event) -> Error:
        """Announce the part. If the client believes already that the job runs, it gets a result in any case."""
        error = await self._ask(caller, "inspect", part=job.part)
        if error is not Error.NONE and returned.is_set():
            await self._system.abort_job(job, "the trigger was not accepted")
        return error

    async def _within_time(self, step: Coroutine[Any, Any, Error]) -> Error | None:
        """What became of a step; None: it goes on, and takes longer than a method may."""
        task = asyncio.create_task(step)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        done, _ = await asyncio.wait([task], timeout=ANSWER_SECONDS)
        return task.result() if done else None

    async def _start_continuous(self, caller: Person, *_: ua.Variant) -> Outputs:
        """Inspect again after Stop."""
        system = self._system
        if system.triggered or system.machine.state is not State.READY:
            return ua.StatusCode(ua.StatusCodes.BadInvalidState)
        error = await self._sent(caller, "resume")
        return _job(system.run if error is Error.NONE else "", error)

    async def _stop(self, caller: Person, *_: ua.Variant) -> Outputs:
        """End the continuous execution; a single job ends with its result anyway."""
        system = self._system
        if system.machine.state is State.SINGLE_EXECUTION:
            return _error(Error.NONE)
        if system.machine.state is not State.CONTINUOUS_EXECUTION:
            return ua.StatusCode(ua.StatusCodes.BadInvalidState)
        system.stop()
        error = await self._sent(caller, "pause")
        if error is Error.NONE:
            system.stop()
        else:
            system.stopped = False
        return _error(error)

    async def _abort(self, caller: Person, *inputs: ua.Variant) -> Outputs:
        """As Stop; of a single job, its result belongs to no job any more."""
        system = self._system
        if system.job is not None:
            await system.end_job(system.job, "aborted")
            return _error(Error.NONE)
        return await self._stop(caller, *inputs)

    # Products

    async def _prepare_product(self, caller: Person, *inputs: ua.Variant) -> Outputs:
        internal, _, error = await self._prepare(caller, text_of(inputs[0].Value))
        return [internal, error]

    async def _prepare_recipe(self, caller: Person, *inputs: ua.Variant) -> Outputs:
        """A recipe is the product of the same name."""
        return await self._prepare(caller, text_of(inputs[0].Value) or text_of(inputs[1].Value))

    async def _prepare(self, caller: Person, product: str) -> Outputs:
        """Recipe, whether it is prepared, and the error. Its model may have to be loaded: then an event follows."""
        if product not in self._system.products:
            return [_recipe(""), ua.Variant(False, _BOOLEAN), *_error(Error.UNKNOWN_PRODUCT)]
        done = await self._within_time(self._change_product(caller, product))
        error = Error.NONE if done is None else done
        recipe = _recipe(product if error is Error.NONE else "")
        return [recipe, ua.Variant(done is Error.NONE, _BOOLEAN), *_error(error)]

    async def _change_product(self, caller: Person, product: str) -> Error:
        error = await self._ask(caller, "product", name=product)
        if error is Error.NONE:
            await self._system.product_prepared(product)
        else:
            await self._system.product_rejected(product)
        return error

    async def _unprepare(self, _: Person, *__: ua.Variant) -> Outputs:
        """One product is always prepared."""
        return ua.StatusCode(ua.StatusCodes.BadNotSupported)

    async def _list_recipes(self, _: Person, *inputs: ua.Variant) -> Outputs:
        external, product, prepared = text_of(inputs[0].Value), text_of(inputs[1].Value), int(inputs[2].Value)
        found = [
            name
            for name in self._system.products
            if all(wanted in ("", name) for wanted in (external, product))
            and prepared in (2, int(name == self._system.product))
        ]
        page, complete = _page(found, inputs[3], inputs[4])
        recipes = [ua.RecipeIdInternalDataType(Id=name) for name in page]
        return _listed(page, complete, recipes)

    # Results

    async def _get_result(self, _: Person, *inputs: ua.Variant) -> Outputs:
        result = self._system.results.get(text_of(inputs[0].Value))
        error = Error.UNKNOWN_RESULT if result is None else Error.NONE
        shown = ua.ResultDataType() if result is None else result
        return [ua.Variant(0, _UINT32), ua.Variant(shown, _STRUCTURE), *_error(error)]

    async def _get_components(self, _: Person, *inputs: ua.Variant) -> Outputs:
        found = self._system.results.get(text_of(inputs[0].Value))
        result = ua.ResultDataType() if found is None else found
        structures = [
            result.MeasId or ua.MeasIdDataType(),
            result.PartId or ua.PartIdDataType(),
            ua.RecipeIdExternalDataType(),
            result.InternalRecipeId,
            result.ProductId or ua.ProductIdDataType(),
            ua.ConfigurationIdDataType(),
            result.InternalConfigurationId,
            result.JobId,
        ]
        return [
            ua.Variant(False, _BOOLEAN),
            ua.Variant(0, _UINT32),
            ua.Variant(False, _BOOLEAN),
            ua.Variant(False, _BOOLEAN),
            ua.Variant(result.ResultState, _INT32),
            *(ua.Variant(each, _STRUCTURE) for each in structures),
            ua.Variant(result.CreationTime, ua.VariantType.DateTime),
            ua.Variant(result.ProcessingTimes or ua.ProcessingTimesDataType(), _STRUCTURE),
            ua.Variant(result.ResultContent or [], ua.VariantType.Variant, is_array=True),
            *_error(Error.UNKNOWN_RESULT if found is None else Error.NONE),
        ]

    async def _list_results(self, _: Person, *inputs: ua.Variant) -> Outputs:
        names = (
            "MeasId", "PartId", "ExternalRecipeId", "InternalRecipeId", "ExternalConfigurationId",
            "InternalConfigurationId", "ProductId", "JobId",
        )  # fmt: skip
        wanted = {name: text_of(each.Value) for name, each in zip(names, inputs[1:9], strict=True)}
        state = int(inputs[0].Value or 0)
        found = [each for each in self._system.results.newest_first() if matches(each, wanted, state)]
        page, complete = _page(found, inputs[9], inputs[10])
        return _listed(page, complete, page)


def _checked(role: Role, method: Method, name: str) -> Callable[..., Awaitable[Outputs]]:
    """A method as asyncua calls it: with the caller's role, and one answer for whatever a client passes."""

    async def call(_: ua.NodeId, *inputs: ua.Variant) -> Outputs:
        try:
            return await method(require(role), *inputs)
        except PermissionError:
            return ua.StatusCode(ua.StatusCodes.BadUserAccessDenied)
        except (IndexError, TypeError, ValueError, AttributeError):
            log.debug("wrong arguments of %s", name, exc_info=True)
            return ua.StatusCode(ua.StatusCodes.BadInvalidArgument)
        except InspectdError as error:
            log.warning("%s: %s", name, error)
            return ua.StatusCode(ua.StatusCodes.BadUnexpectedError)

    return call


def _error(error: Error) -> list[ua.Variant]:
    return [ua.Variant(int(error), _INT32)]


def _job(identity: str, error: Error) -> list[ua.Variant]:
    return [ua.Variant(ua.JobIdDataType(Id=identity), _STRUCTURE), *_error(error)]


def _recipe(product: str) -> ua.Variant:
    return ua.Variant(ua.RecipeIdInternalDataType(Id=product), _STRUCTURE)


def _page(found: Sequence[Any], most: ua.Variant, start: ua.Variant) -> tuple[Sequence[Any], bool]:
    """The part of a list that the client asks for, and whether it is the end of it."""
    begin, wanted = int(start.Value or 0), int(most.Value or 0)
    count = MOST_LISTED if wanted == 0 else min(wanted, MOST_LISTED)
    return found[begin : begin + count], begin + count >= len(found)


def _listed(page: Sequence[Any], complete: bool, values: Sequence[Any]) -> list[ua.Variant]:
    return [
        ua.Variant(complete, _BOOLEAN),
        ua.Variant(len(page), _UINT32),
        ua.Variant(0, _UINT32),
        ua.Variant(list(values), _STRUCTURE, is_array=True),
        *_error(Error.NONE),
    ]
