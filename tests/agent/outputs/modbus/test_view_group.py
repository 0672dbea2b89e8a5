"""A group of cameras that see the same part is a unit: one trigger for all of them, and the joined result."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from agent.core.problems import Problems
from agent.core.records import NotJudged, PartVerdict, Phase
from agent.messages import CommandResponse
from agent.outputs import build_outputs
from agent.outputs.group_states import state_of_group
from agent.outputs.modbus.register_map import Status
from agent.outputs.outbox import Outbox
from agent.outputs.settings import parse_section
from tests.agent.outputs.modbus.support import AT, bits, client, part, read, state
from tests.support.broker import free_port, wait_until

GROUP = 3
"""Its unit id, after those of its cameras."""


def test_a_trigger_of_the_group_is_one_for_each_camera_and_the_joined_result_is_shown(tmp_path: Path) -> None:
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
        with client(port) as plc:
            plc.write_register(0, 0, device_id=GROUP)
            output.publish_state(state(camera="top"))
            output.publish_state(state(Phase.CALIBRATING, ready=False, camera="side"))
            wait_until(lambda: read(plc, GROUP)["phase"] == 1, what="the phase of the camera that is not armed")
            assert not bits(read(plc, GROUP)) & Status.READY
            output.publish_state(state(camera="side"))
            wait_until(lambda: bool(bits(read(plc, GROUP)) & Status.READY))
            plc.write_registers(0, [1, 0, 0, 77], device_id=GROUP)
            wait_until(lambda: len(commands) == 2)
            assert [camera for camera, _ in commands] == ["top", "side"]
            assert all(json.loads(payload)["part"] == "77" for _, payload in commands)
            output.show_result(part("77", started=time.monotonic(), camera="top"))
            assert bits(read(plc, GROUP)) & Status.BUSY, "the result of one camera is not that of the part"
            missing = part(
                "77",
                PartVerdict.NOT_JUDGED,
                started=time.monotonic(),
                reason=NotJudged.VIEW_MISSING,
                score=None,
                camera="parts/p1",
            )
            output.show_result(missing)
            wait_until(lambda: bool(bits(read(plc, GROUP)) & Status.RESULTS_READY))
            values = read(plc, GROUP)
            assert (values["part"], values["verdict"], values["reason"]) == (77, 3, 8)
    finally:
        assert output.stop(5.0)
        outbox.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "modbus"]


def test_state_of_a_group_is_ready_only_if_every_camera_is() -> None:
    armed, blind = state(camera="top"), state(Phase.BLIND, ready=False, camera="side", alarm="a1")
    both = state_of_group("parts/p1", [armed, blind])
    assert (both.phase, both.ready, both.alarm) == (Phase.BLIND, False, "a1")
    assert state_of_group("parts/p1", [armed, armed]).ready is True
    assert state_of_group("parts/p1", [armed, state(ready=None)]).ready is None, "parts of one have no trigger"
