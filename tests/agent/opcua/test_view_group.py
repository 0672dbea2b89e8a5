"""A group of cameras that see the same part is an object: one job for all of them, and the joined result."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.agent.opcua.conftest import TRIGGERED, Line
from tests.agent.opcua.test_handshake import AUTOMATIC, MACHINE, RESULT_READY, Camera, Heard, job, subscribed
from tests.support.agent_settings import QUICK_CALIBRATION, settings_text
from tests.support.agents import await_status, running_service
from tests.support.opcua import opcua_client, running_opcua

ua = pytest.importorskip("asyncua", reason="the extra opcua is not installed").ua

MORE = """\
[cameras.line1.parts]
trigger = true
[cameras.line2]
bundle = "{bundle}"
source = {{ kind = "simulator", frames_per_second = 30.0, good_frames = 100000 }}
parts = {{ trigger = true }}
[cameras.line2.calibration]
{calibration}
[parts.p1]
cameras = ["line1", "line2"]
within = "1 s"
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Line]:
    """Both cameras are armed."""
    directory = tmp_path_factory.mktemp("group")
    config = directory / "inspectd.toml"
    more = MORE.format(bundle=tiny_bundle.path, calibration=QUICK_CALIBRATION)
    config.write_text(settings_text(tiny_bundle.path, TRIGGERED) + more)
    with running_opcua(config) as opcua, running_service(config) as service:
        socket, numbers = service.settings.socket_path, itertools.count()

        def armed(found: dict[str, Any]) -> bool:
            for name, camera in found["cameras"].items():
                if camera["phase"] != "armed":
                    ask(socket, "inspect", name, part=f"calibration-{next(numbers)}")
            return all(camera["phase"] == "armed" for camera in found["cameras"].values())

        await_status(socket, armed)
        yield Line(opcua, socket)


async def group_of(client: Any) -> Camera:
    """The object of the group: `Objects/parts/p1`."""
    children = {(await each.read_browse_name()).Name: each for each in await client.nodes.objects.get_children()}
    (group,) = await children["parts"].get_children()
    assert (await group.read_browse_name()).Name == "p1"
    return Camera(client, group)


async def about(heard: Heard, part: str) -> Any:
    """The event about a part; those of the calibration, which each camera saw alone, may come before."""
    while (event := await heard.next()).PartId.Id != part:
        pass
    return event


def test_a_job_of_the_group_ends_with_the_joined_result(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            group, single = await group_of(client), await Camera.of(client, "line2")
            await group.await_states("Operational", "Ready")
            heard = await subscribed(client, group.root, RESULT_READY)
            of_one = await subscribed(client, single.root, RESULT_READY)
            started, error = await group.call(f"{AUTOMATIC}/StartSingleJob", *job("SN-4711"))
            assert error == 0
            event, view = await about(heard, "SN-4711"), await about(of_one, "SN-4711")
            assert (event.PartId.Id, event.JobId.Id, event.MeasId.Id) == ("SN-4711", started.Id, "m1")
            assert event.ResultContent[0].Value in ("ok", "nok")
            assert (view.PartId.Id, view.JobId.Id == started.Id) == ("SN-4711", False), "the job is that of the group"
            (joined,) = ask(line.socket, "results/list", group="p1", part="SN-4711")["parts"]
            assert joined["id"] == event.ResultId.Id
            await group.await_states("Operational", "Ready")

    asyncio.run(scenario())


def test_a_result_lacks_a_camera_that_was_not_triggered(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua, "vera") as client:
            group = await group_of(client)
            heard = await subscribed(client, group.root, RESULT_READY)
            ask(line.socket, "inspect", "line1", part="half")
            event = await about(heard, "half")
            content = [each.Value for each in event.ResultContent]
            assert (event.PartId.Id, content[0], content[3]) == ("half", "not_judged", "view_missing")

    asyncio.run(scenario())


def test_the_group_is_halted_with_each_of_its_cameras(line: Line) -> None:
    """One camera that is paused halts the group; Halt and Reset are for both."""

    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            group = await group_of(client)
            await group.await_states("Operational", "Ready")
            ask(line.socket, "pause", "line2")
            await group.await_states("Halted", None)
            with pytest.raises(ua.UaStatusCodeError, match="BadInvalidState"):
                await group.call(f"{AUTOMATIC}/StartSingleJob", *job("SN-1"))
            cause = [ua.Variant(1, ua.VariantType.Int32), ua.Variant("", ua.VariantType.String)]
            assert await group.call(f"{MACHINE}/Reset", *cause) == 0
            await group.await_states("Operational", "Ready")
            assert await group.call(f"{MACHINE}/Halt", *cause) == 0
            await group.await_states("Halted", None)
            assert {each["phase"] for each in ask(line.socket, "status")["cameras"].values()} == {"paused"}
            assert await group.call(f"{MACHINE}/Reset", *cause) == 0
            await group.await_states("Operational", "Ready")

    asyncio.run(scenario())


def test_a_group_that_is_removed_is_an_error(line: Line) -> None:
    """The last test: the group does not come back."""

    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            group, single = await group_of(client), await Camera.of(client, "line1")
            await group.await_states("Operational", "Ready")
            config = line.opcua.config
            before, group_section, rest = config.read_text().partition('[parts.p1]\ncameras = ["line1", "line2"]\n')
            assert group_section
            config.write_text(before + rest.removeprefix('within = "1 s"\n'))
            ask(line.socket, "reload")
            await group.await_states("Error", None)
            await single.await_states("Operational", "Ready")

    asyncio.run(scenario())
