"""Jobs, results and events over OPC UA, with a whole agent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.commands import ask
from tests.agent.opcua.conftest import Line
from tests.support.opcua import MODEL, opcua_client

ua = pytest.importorskip("asyncua", reason="the extra opcua is not installed").ua

MACHINE = "VisionStateMachine"
AUTOMATIC = f"{MACHINE}/AutomaticModeStateMachine"


class Camera:
    """One camera, seen from a client: nodes by the path of their names."""

    def __init__(self, client: Any, root: Any) -> None:
        self.client = client
        self.root = root

    @classmethod
    async def of(cls, client: Any, name: str) -> Camera:
        children = {(await each.read_browse_name()).Name: each for each in await client.nodes.objects.get_children()}
        return cls(client, children[name])

    async def at(self, path: str) -> Any:
        node = self.root
        for name in path.split("/"):
            children = {(await each.read_browse_name()).Name: each for each in await node.get_children()}
            node = children[name]
        return node

    async def call(self, path: str, *inputs: Any) -> Any:
        parent, _, _ = path.rpartition("/")
        return await (await self.at(parent)).call_method(await self.at(path), *inputs)

    async def states(self) -> tuple[str, str | None]:
        """Of both machines; None for one that is not active."""
        top = await (await self.at(f"{MACHINE}/CurrentState")).read_value()
        found = await (await self.at(f"{AUTOMATIC}/CurrentState")).read_data_value(raise_on_bad_status=False)
        return top.Text, found.Value.Value.Text if found.StatusCode.is_good() else None

    async def await_states(self, top: str, automatic: str | None) -> None:
        for _ in range(600):
            if await self.states() == (top, automatic):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"got {await self.states()}, wanted {top}, {automatic}")


def job(part: str, *, product: str = "") -> list[Any]:
    """The inputs of StartSingleJob."""
    return [
        ua.MeasIdDataType(Id="m1"),
        ua.PartIdDataType(Id=part),
        ua.RecipeIdExternalDataType(),
        ua.ProductIdDataType(Id=product),
        ua.Variant([], ua.VariantType.Variant, is_array=True),
    ]


class Heard:
    """Events, in the order of their arrival."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()

    def event_notification(self, event: Any) -> None:
        self.events.put_nowait(event)

    async def next(self) -> Any:
        return await asyncio.wait_for(self.events.get(), 60)


async def subscribed(client: Any, node: Any, *numbers: int, interval_ms: int = 50) -> Heard:
    """What a subscription to these event types of the model hears at a node."""
    heard = Heard()
    index = await client.get_namespace_index(MODEL)
    subscription = await client.create_subscription(interval_ms, heard)
    await subscription.subscribe_events(node, [client.get_node(ua.NodeId(number, index)) for number in numbers])
    return heard


RESULT_READY, STATE_CHANGED, RECIPE_PREPARED, INFORMATION = 1024, 1018, 1022, 1038


def test_a_job_ends_with_the_result_of_its_part(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            camera = await Camera.of(client, "line1")
            await camera.await_states("Operational", "Ready")
            heard = await subscribed(client, camera.root, RESULT_READY)
            started, error = await camera.call(f"{AUTOMATIC}/StartSingleJob", *job("SN-4711"))
            assert error == 0
            event = await heard.next()
            assert event.PartId.Id == "SN-4711"
            assert event.JobId.Id == started.Id
            assert event.MeasId.Id == "m1"
            assert event.ResultState == 1
            verdict, score, threshold, *_ = (each.Value for each in event.ResultContent)
            assert verdict == ("nok" if score > threshold else "ok")
            _, result, error = await camera.call(
                "ResultManagement/GetResultById", event.ResultId, ua.Variant(0, ua.VariantType.Int32)
            )
            assert error == 0
            assert (result.PartId.Id, result.JobId.Id) == ("SN-4711", started.Id)
            assert result.InternalConfigurationId.Id
            latest = await (await camera.at("ResultManagement/Results/Latest")).read_value()
            assert latest.ResultId.Id == event.ResultId.Id
            await camera.await_states("Operational", "Ready")

    asyncio.run(scenario())


def test_a_result_does_not_wait_for_the_publishing_interval(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            camera = await Camera.of(client, "line1")
            await camera.await_states("Operational", "Ready")
            # `next` waits for a third of this.
            heard = await subscribed(client, camera.root, RESULT_READY, interval_ms=60_000)
            await camera.call(f"{AUTOMATIC}/StartSingleJob", *job("SN-1"))
            assert (await heard.next()).PartId.Id == "SN-1"

    asyncio.run(scenario())


def test_the_shortest_publishing_interval_is_bounded(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            for wanted, revised in ((0.0, 10.0), (-1.0, 10.0), (0.001, 10.0), (float("nan"), 10.0), (200.0, 200.0)):
                asked = ua.CreateSubscriptionParameters(RequestedPublishingInterval=wanted)
                made = await client.uaclient.create_subscription(asked, callback=lambda *_: None)
                assert made.RevisedPublishingInterval == revised

    asyncio.run(scenario())


def test_the_state_machine_goes_over_the_transitions_of_the_specification(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            camera = await Camera.of(client, "line1")
            await camera.await_states("Operational", "Ready")
            heard = await subscribed(client, client.nodes.server, STATE_CHANGED)
            await camera.call(f"{AUTOMATIC}/StartSingleJob", *job("SN-1"))
            transitions = []
            while len(transitions) < 2:
                event = await heard.next()
                if event.SourceName == "line1":
                    transitions.append(event.Transition.Text)
            assert transitions == ["ReadyToSingleExecution", "SingleExecutionToReadyAuto"]

    asyncio.run(scenario())


def test_halt_pauses_the_agent_and_reset_resumes_it(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            camera = await Camera.of(client, "line1")
            cause = [ua.Variant(1, ua.VariantType.Int32), ua.Variant("maintenance", ua.VariantType.String)]
            assert await camera.call(f"{MACHINE}/Halt", *cause) == 0
            await camera.await_states("Halted", None)
            assert ask(line.socket, "status")["cameras"]["line1"]["phase"] == "paused"
            with pytest.raises(ua.UaStatusCodeError, match="BadInvalidState"):
                await camera.call(f"{AUTOMATIC}/StartSingleJob", *job("SN-2"))
            assert await camera.call(f"{MACHINE}/Reset", *cause) == 0
            await camera.await_states("Operational", "Ready")

    asyncio.run(scenario())


def test_a_camera_without_trigger_executes_continuously_until_stopped(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            camera = await Camera.of(client, "line2")
            await camera.await_states("Operational", "ContinuousExecution")
            heard = await subscribed(client, camera.root, RESULT_READY)
            assert (await heard.next()).PartId.Id
            cause = [ua.Variant(1, ua.VariantType.Int32), ua.Variant("", ua.VariantType.String)]
            assert await camera.call(f"{AUTOMATIC}/Stop", *cause) == 0
            await camera.await_states("Operational", "Ready")
            _, error = await camera.call(f"{AUTOMATIC}/StartContinuous", *job(""))
            assert error == 0
            await camera.await_states("Operational", "ContinuousExecution")

    asyncio.run(scenario())


def test_a_product_is_prepared_by_its_name(line: Line) -> None:
    """The other product has no threshold yet: no job can start until the first one is back."""

    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            camera = await Camera.of(client, "line1")
            await camera.await_states("Operational", "Ready")
            heard = await subscribed(client, camera.root, RECIPE_PREPARED)
            prepare = "RecipeManagement/PrepareProduct"
            recipe, error = await camera.call(prepare, ua.ProductIdDataType(Id="nonsense"))
            assert (recipe.Id, error) == ("", 4)
            _, error = await camera.call(f"{AUTOMATIC}/StartSingleJob", *job("SN-1", product="back"))
            assert error == 6
            recipe, error = await camera.call(prepare, ua.ProductIdDataType(Id="back"))
            assert (recipe.Id, error) == ("back", 0)
            assert (await heard.next()).ProductId.Id == "back"
            await camera.await_states("Operational", "Initialized")
            assert ask(line.socket, "status")["cameras"]["line1"]["product"] == "back"
            count, state = ua.VariantType.UInt32, ua.TriStateBooleanDataType
            complete, found, _, recipes, error = await camera.call(
                "RecipeManagement/GetRecipeListFiltered",
                ua.RecipeIdExternalDataType(),
                ua.ProductIdDataType(),
                ua.Variant(state(2), ua.VariantType.Int32),
                ua.Variant(0, count),
                ua.Variant(0, count),
                ua.Variant(0, ua.VariantType.Int32),
            )
            assert (complete, found, error) == (True, 2, 0)
            assert [each.Id for each in recipes] == ["front", "back"]
            inputs = [ua.RecipeIdExternalDataType(Id="front"), ua.RecipeIdInternalDataType()]
            recipe, completed, error = await camera.call("RecipeManagement/PrepareRecipe", *inputs)
            assert (recipe.Id, completed, error) == ("front", True, 0)
            await camera.await_states("Operational", "Ready")

    asyncio.run(scenario())


def test_a_camera_without_products_has_no_recipes(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua, "vera") as client:
            camera = await Camera.of(client, "line2")
            names = {(await each.read_browse_name()).Name for each in await camera.root.get_children()}
            assert names == {"ResultManagement", "SystemState", "VisionStateMachine"}

    asyncio.run(scenario())


def test_alarms_are_events(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua, "vera") as client:
            camera = await Camera.of(client, "line2")
            heard = await subscribed(client, camera.root, INFORMATION)
            event = await heard.next()
            identity = event.CausePath.removeprefix("alarm/")
            assert any(identity == alarm["id"] for alarm in ask(line.socket, "alarms/list")["alarms"])
            assert "defect" in event.Message.Text

    asyncio.run(scenario())


def test_results_are_listed_newest_first_by_part(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            camera = await Camera.of(client, "line1")
            heard = await subscribed(client, camera.root, RESULT_READY)
            for part in ("SN-7", "SN-8", "SN-7"):
                await camera.await_states("Operational", "Ready")
                await camera.call(f"{AUTOMATIC}/StartSingleJob", *job(part))
                await heard.next()
            count, int32 = ua.VariantType.UInt32, ua.VariantType.Int32
            complete, found, _, results, error = await camera.call(
                "ResultManagement/GetResultListFiltered",
                ua.Variant(0, int32),
                ua.MeasIdDataType(),
                ua.PartIdDataType(Id="SN-7"),
                ua.RecipeIdExternalDataType(),
                ua.RecipeIdInternalDataType(),
                ua.ConfigurationIdDataType(),
                ua.ConfigurationIdDataType(),
                ua.ProductIdDataType(),
                ua.JobIdDataType(),
                ua.Variant(10, count),
                ua.Variant(0, count),
                ua.Variant(0, int32),
            )
            assert (complete, found, error) == (True, 2, 0)
            assert [each.PartId.Id for each in results] == ["SN-7", "SN-7"]
            assert results[0].CreationTime >= results[1].CreationTime

    asyncio.run(scenario())


@pytest.mark.parametrize("part", ["", "x" * 129, "a\nb"])
def test_a_part_id_that_cannot_be_is_rejected(line: Line, part: str) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            camera = await Camera.of(client, "line1")
            await camera.await_states("Operational", "Ready")
            started, error = await camera.call(f"{AUTOMATIC}/StartSingleJob", *job(part))
            assert (started.Id, error) == ("", 5)
            assert await camera.states() == ("Operational", "Ready")

    asyncio.run(scenario())
