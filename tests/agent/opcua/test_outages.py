"""What a client sees when the agent is killed, and that a client which does not read delays nobody."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.agent.opcua.conftest import TRIGGERED
from tests.agent.opcua.test_handshake import AUTOMATIC, RESULT_READY, Camera, job, subscribed
from tests.support.agent_settings import settings_text
from tests.support.agents import Starter, agent_processes, await_state, is_armed, socket_path
from tests.support.opcua import OpcuaServer, opcua_client, running_opcua

pytest.importorskip("asyncua", reason="the extra opcua is not installed")


@pytest.fixture
def settings(tmp_path: Path, tiny_bundle: Bundle) -> Path:
    config = tmp_path / "inspectd.toml"
    config.write_text(settings_text(tiny_bundle.path, TRIGGERED) + "[cameras.line1.parts]\ntrigger = true\n")
    return config


@pytest.fixture
def opcua(settings: Path) -> Iterator[OpcuaServer]:
    with running_opcua(settings) as server:
        yield server


@pytest.fixture
def start(settings: Path, opcua: OpcuaServer) -> Iterator[Starter]:
    with agent_processes(settings) as starter:
        yield starter


def arm(directory: Path) -> None:
    numbers = itertools.count()

    def armed(state: dict[str, object]) -> bool:
        if state["phase"] != "armed":
            ask(socket_path(directory), "inspect", "line1", part=f"calibration-{next(numbers)}")
        return is_armed(state)

    await_state(socket_path(directory), armed)


def test_a_killed_agent_is_an_error_and_its_job_is_aborted(tmp_path: Path, opcua: OpcuaServer, start: Starter) -> None:
    agent = start()
    arm(tmp_path)

    async def scenario() -> None:
        async with opcua_client(opcua) as client:
            camera = await Camera.of(client, "line1")
            await camera.await_states("Operational", "Ready")
            heard = await subscribed(client, camera.root, RESULT_READY)
            # Stopped, the agent takes the trigger only after it is killed, which is never.
            agent.send_signal(signal.SIGSTOP)
            started, error = await camera.call(f"{AUTOMATIC}/StartSingleJob", *job("SN-1"))
            assert error == 0
            agent.kill()
            event = await heard.next()
            assert (event.PartId.Id, event.JobId.Id, event.ResultState) == ("SN-1", started.Id, 3)
            assert event.ResultContent[0].Value == "not_judged"
            await camera.await_states("Error", None)
            start()
            await camera.await_states("Operational", "Ready")
            started, error = await camera.call(f"{AUTOMATIC}/StartSingleJob", *job("SN-2"))
            assert error == 0
            event = await heard.next()
            assert (event.PartId.Id, event.JobId.Id) == ("SN-2", started.Id)

    asyncio.run(scenario())


def test_a_stopped_server_and_parked_connections_do_not_slow_inspection(
    tmp_path: Path, opcua: OpcuaServer, start: Starter
) -> None:
    start()
    arm(tmp_path)
    path = socket_path(tmp_path)

    def seconds(count: int) -> float:
        """For so many parts, from the trigger to the count of their results."""
        before = ask(path, "status")["cameras"]["line1"]["parts"]
        begun = time.monotonic()
        for number in range(count):
            ask(path, "inspect", "line1", part=f"{begun}-{number}")
            wanted = before["ok"] + before["nok"] + before["not_judged"] + number + 1
            await_state(path, lambda state, wanted=wanted: sum(list(state["parts"].values())[:3]) >= wanted)
        return time.monotonic() - begun

    alone = seconds(20)
    parked = [socket.create_connection(("127.0.0.1", opcua.port), 2) for _ in range(30)]
    opcua.process.send_signal(signal.SIGSTOP)
    try:
        # A busy machine may be slow once; parked connections would be in the way each time.
        assert any(seconds(20) < 3 * alone + 2 for _ in range(3))
    finally:
        opcua.process.send_signal(signal.SIGCONT)
        for connection in parked:
            connection.close()

    async def works() -> None:
        async with opcua_client(opcua) as client:
            await (await Camera.of(client, "line1")).await_states("Operational", "Ready")

    asyncio.run(works())
