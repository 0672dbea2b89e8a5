"""Products by register: the number that the PLC writes chooses what is inspected."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agent.core.problems import Problems
from agent.core.roles import Role
from agent.messages import CommandResponse
from agent.outputs import Output, build_outputs
from agent.outputs.modbus.register_map import Status
from agent.outputs.outbox import Outbox
from agent.outputs.settings import parse_section
from tests.agent.outputs.modbus.support import AT, bits, client, part, read, state
from tests.support.broker import free_port, wait_until


@dataclass
class Agent:
    """Takes the commands of the output."""

    port: int
    output: Output | None = None
    commands: list[tuple[str, str]] = field(default_factory=list)
    rejects: set[str] = field(default_factory=set)
    hold: threading.Event = field(default_factory=threading.Event)

    def __call__(
        self, name: str, camera: str | None, payload: bytes, *, by: str, role: Role = Role.ENGINEER
    ) -> CommandResponse:
        request = json.loads(payload)
        assert camera == "line1"
        self.commands.append((name, request.get("name") or request.get("part")))
        if name == "product":
            self.hold.wait(20)
            if request["name"] not in self.rejects and self.output is not None:
                self.output.publish_state(state(product=request["name"]))
        return CommandResponse(command=name, site="plant", at=AT, ok=request.get("name") not in self.rejects)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(free_port())
    made.hold.set()
    outbox = Outbox(tmp_path / "outbox.sqlite")
    section = parse_section({"kind": "modbus", "port": made.port, "products": {"1": "front", "2": "back", "3": "gone"}})
    (output,) = build_outputs({"plc": section}, site="plant", outbox=outbox, problems=Problems())
    made.output = output
    output.serve_commands(made)
    output.announce({"line1": "m"})
    output.start()
    output.publish_state(state(product="front"))
    yield made
    made.hold.set()
    assert output.stop(5.0)
    outbox.close()


def result(name: str, product: str | None):  # type: ignore[no-untyped-def]
    return replace(part(name, started=time.monotonic()), product=product)


def test_a_trigger_is_judged_as_the_product_of_its_number(agent: Agent) -> None:
    assert agent.output is not None
    with client(agent.port) as plc:
        plc.write_register(0, 0)
        wait_until(lambda: bool(bits(read(plc)) & Status.READY), what="ready")
        plc.write_registers(0, [1, 2, 0, 7])
        wait_until(lambda: agent.commands == [("product", "back"), ("inspect", "7")], what="product, then part")
        agent.output.show_result(result("7", "back"))
        wait_until(lambda: bool(bits(read(plc)) & Status.RESULTS_READY), what="the result")
        values = read(plc)
        assert (values["part"], values["product"], values["verdict"]) == (7, 2, 1)


def test_the_product_that_is_inspected_already_needs_no_command(agent: Agent) -> None:
    with client(agent.port) as plc:
        plc.write_register(0, 0)
        wait_until(lambda: bool(bits(read(plc)) & Status.READY), what="ready")
        plc.write_registers(0, [1, 1, 0, 7])
        wait_until(lambda: len(agent.commands) == 1, what="the part")
        assert agent.commands == [("inspect", "7")]


def test_a_number_written_without_trigger_changes_the_product(agent: Agent) -> None:
    with client(agent.port) as plc:
        plc.write_registers(0, [0, 2])
        wait_until(lambda: agent.commands == [("product", "back")], what="the product")
        plc.write_registers(0, [0, 0])
        plc.write_registers(0, [0, 2])
        assert read(plc)["rejection"] == 0


@pytest.mark.parametrize(("number", "commands"), [(9, []), (3, [("product", "gone")])])
def test_a_product_that_cannot_be_rejects_the_trigger(
    agent: Agent, number: int, commands: list[tuple[str, str]]
) -> None:
    """One that is not in the settings, and one that the agent does not know."""
    agent.rejects.add("gone")
    with client(agent.port) as plc:
        plc.write_register(0, 0)
        wait_until(lambda: bool(bits(read(plc)) & Status.READY), what="ready")
        plc.write_registers(0, [1, number, 0, 7])
        wait_until(lambda: read(plc)["rejection"] == 3, what="the reason")
        assert agent.commands == commands
        assert bits(read(plc)) & Status.REJECTED
        assert not bits(read(plc)) & (Status.BUSY | Status.RESULTS_READY)


def test_busy_lasts_while_the_product_is_loaded(agent: Agent) -> None:
    agent.hold.clear()
    with client(agent.port) as plc:
        plc.write_register(0, 0)
        wait_until(lambda: bool(bits(read(plc)) & Status.READY), what="ready")
        plc.write_registers(0, [1, 2, 0, 7])
        wait_until(lambda: agent.commands == [("product", "back")], what="the product")
        assert bits(read(plc)) & Status.BUSY
        agent.hold.set()
        wait_until(lambda: agent.commands[1:] == [("inspect", "7")], what="the part")


def test_a_part_judged_as_another_product_is_not_judged(agent: Agent) -> None:
    """Somebody has changed the product on the page between trigger and result."""
    assert agent.output is not None
    with client(agent.port) as plc:
        plc.write_register(0, 0)
        wait_until(lambda: bool(bits(read(plc)) & Status.READY), what="ready")
        plc.write_registers(0, [1, 1, 0, 7])
        wait_until(lambda: agent.commands == [("inspect", "7")], what="the part")
        agent.output.show_result(result("7", "back"))
        wait_until(lambda: bool(bits(read(plc)) & Status.RESULTS_READY), what="the result")
        values = read(plc)
        assert (values["verdict"], values["reason"], values["score"]) == (3, 7, -1.0)
