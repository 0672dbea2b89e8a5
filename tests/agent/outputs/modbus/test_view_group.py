"""A group of cameras that see the same part is a unit: one trigger for all of them, and the joined result."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.core.problems import Problems
from agent.core.records import NotJudged, PartVerdict, Phase
from agent.messages import CommandResponse, state_of_group
from agent.outputs import Output, build_outputs
from agent.outputs.modbus.register_map import Status
from agent.outputs.outbox import Outbox
from agent.outputs.settings import parse_section
from tests.agent.outputs.modbus.support import AT, bits, client, part, read, state
from tests.support.broker import free_port, wait_until

pytest.importorskip("pymodbus", reason="Modbus needs the extra modbus")
from pymodbus.client import ModbusTcpClient

GROUP = 3
"""Its unit id, after those of its cameras."""


class Plc(NamedTuple):
    """The output with the cameras top and side in the group p1, and a PLC that is connected to it."""

    output: Output
    client: ModbusTcpClient
    commands: list[tuple[str | None, bytes]]
    """Camera and request of each command."""


@pytest.fixture
def plc(tmp_path: Path) -> Iterator[Plc]:
    port, commands = free_port(), list[tuple[str | None, bytes]]()

    def execute(name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        commands.append((camera, payload))
        return CommandResponse(command=name, site="plant", camera=camera, at=AT, ok=True, error=None, result={})

    outbox = Outbox(tmp_path / "outbox.sqlite")
    section = parse_section({"kind": "modbus", "port": port})
    (output,) = build_outputs({"plc": section}, site="plant", outbox=outbox, problems=Problems())
    output.serve_commands(execute)
    output.announce_view_groups({"p1": ("top", "side")})
    output.announce({"top": "m", "side": "m"})
    output.start()
    try:
        with client(port) as connected:
            yield Plc(output, connected, commands)
    finally:
        assert output.stop(5.0)
        outbox.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "modbus"]


def test_a_trigger_of_the_group_is_one_for_each_camera_and_the_joined_result_is_shown(plc: Plc) -> None:
    output, client, commands = plc
    client.write_register(0, 0, device_id=GROUP)
    output.publish_state(state(camera="top"))
    output.publish_state(state(Phase.CALIBRATING, ready=False, camera="side"))
    wait_until(lambda: read(client, GROUP)["phase"] == 1, what="the phase of the camera that is not armed")
    assert not bits(read(client, GROUP)) & Status.READY
    output.publish_state(state(camera="side"))
    wait_until(lambda: bool(bits(read(client, GROUP)) & Status.READY))
    client.write_registers(0, [1, 0, 0, 77], device_id=GROUP)
    wait_until(lambda: len(commands) == 2)
    assert [camera for camera, _ in commands] == ["top", "side"]
    assert all(json.loads(payload)["part"] == "77" for _, payload in commands)
    output.show_result(part("77", started=time.monotonic(), camera="top"))
    assert bits(read(client, GROUP)) & Status.BUSY, "the result of one camera is not that of the part"
    missing = part(
        "77",
        PartVerdict.NOT_JUDGED,
        started=time.monotonic(),
        reason=NotJudged.VIEW_MISSING,
        score=None,
        camera="parts/p1",
    )
    output.show_result(missing)
    wait_until(lambda: bool(bits(read(client, GROUP)) & Status.RESULTS_READY))
    values = read(client, GROUP)
    assert (values["part"], values["verdict"], values["reason"]) == (77, 3, 8)


def test_a_group_that_is_new_or_gone_is_a_unit_or_none_while_the_plc_stays_connected(plc: Plc) -> None:
    """A handshake that is under way at a camera goes on; a new group has a session of its own."""
    output, client, commands = plc
    output.publish_state(state(camera="top"))
    client.write_register(0, 0, device_id=1)
    wait_until(lambda: bool(bits(read(client, 1)) & Status.READY))
    client.write_registers(0, [1, 0, 0, 5], device_id=1)
    wait_until(lambda: len(commands) == 1)
    sessions = [read(client, unit)["session"] for unit in (1, GROUP)]
    output.announce_view_groups({})
    wait_until(lambda: client.read_input_registers(0, count=1, device_id=GROUP).isError())
    assert bits(read(client, 1)) & Status.BUSY
    output.show_result(part("5", started=time.monotonic(), camera="top"))
    wait_until(lambda: bool(bits(read(client, 1)) & Status.RESULTS_READY))
    output.announce_view_groups({"p1": ("top", "side"), "p2": ("side", "top")})
    wait_until(lambda: not client.read_input_registers(0, count=1, device_id=GROUP + 1).isError())
    assert read(client, 1)["session"] == sessions[0]
    assert read(client, GROUP)["session"] != sessions[1], "not the one from before"
    assert read(client, 1)["result_number"] == 1


def test_state_of_a_group_is_ready_only_if_every_camera_is() -> None:
    armed, blind = state(camera="top"), state(Phase.BLIND, ready=False, camera="side", alarm="a1")
    both = state_of_group("parts/p1", [armed, blind])
    assert (both.phase, both.ready, both.alarm) == (Phase.BLIND, False, "a1")
    paused = state(Phase.PAUSED, ready=False, camera="top")
    assert state_of_group("parts/p1", [paused, blind]).phase is Phase.BLIND, "a fault comes first"
    assert state_of_group("parts/p1", [armed, armed]).ready is True
    assert state_of_group("parts/p1", [armed, state(ready=None)]).ready is None, "parts of one have no trigger"
