"""A whole agent and a PLC: handshakes, and what the PLC sees when the agent is killed in the middle of one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.commands import ask
from agent.core.errors import InspectdError
from agent.outputs.modbus.register_map import Control, Status
from engines.bundles.bundle import Bundle
from tests.agent.outputs.modbus.support import bits, read
from tests.support.agents import GOOD_PARTS, Starter, agent_processes, configure, socket_path
from tests.support.broker import free_port

pytest.importorskip("pymodbus", reason="Modbus needs the extra modbus")
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

CALIBRATION = 'frames = 50\nmax_frames = 50\nfalse_alarms = "1 per 20 parts"'


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def start(tmp_path: Path, tiny_bundle: Bundle, port: int) -> Iterator[Starter]:
    sections = f'[outputs.plc]\nkind = "modbus"\nport = {port}'
    config = configure(tmp_path, tiny_bundle, GOOD_PARTS, calibration=CALIBRATION, sections=sections)
    config.write_text(config.read_text() + "[cameras.line1.parts]\ntrigger = true\n")
    with agent_processes(config) as start:
        yield start


@dataclass
class Plc:
    """The program of a PLC: it goes through the handshake, and connects again when the connection is lost."""

    port: int
    parts: int = 0
    judged: int = 0
    lost: int = 0
    """Parts without a result, because the agent was killed."""
    sessions: list[int] = field(default_factory=list)
    unready: int = 0
    """New sessions that began without ready."""
    client: ModbusTcpClient | None = None

    def inspect(self) -> None:
        """One part, from ready to ready; a lost connection costs the part."""
        try:
            self._await(lambda status: bool(status & Status.READY))
        except (ModbusException, OSError):
            self._drop()
            return
        self.parts += 1
        number = self.parts
        try:
            self._connected().write_registers(0, [int(Control.TRIGGER), 0, number >> 16, number & 0xFFFF])
            values = self._await(lambda status: bool(status & Status.RESULTS_READY), lost=Status.READY)
            assert values["part"] == number, "a result for a wrong part"
            assert values["verdict"] in (1, 2, 3)
            self.judged += 1
            self._connected().write_register(0, int(Control.ACKNOWLEDGE))
        except (ModbusException, OSError):
            self.lost += 1
            self._drop()

    def _await(self, condition: Callable[[Status], bool], lost: Status | None = None) -> dict[str, int | float]:
        """The registers once they fulfil the condition. Raises OSError after a restart of the agent."""
        end = time.monotonic() + 60.0
        while time.monotonic() < end:
            values = read(self._connected())
            self._note_session(values)
            if condition(bits(values)):
                return values
            if lost is not None and bits(values) & (lost | Status.BUSY | Status.RESULTS_READY) in (lost, Status(0)):
                # A new agent knows nothing of this part.
                raise ConnectionError("restarted")
        raise AssertionError("no progress within a minute")

    def _note_session(self, values: dict[str, int | float]) -> None:
        session = int(values["session"])
        if self.sessions[-1:] != [session]:
            self.sessions.append(session)
            shown = bits(values) & (Status.RESULTS_READY | Status.OK | Status.NOK | Status.NOT_JUDGED | Status.BUSY)
            assert not shown, "a new agent shows a result"
            self.unready += not bits(values) & Status.READY

    def _connected(self) -> ModbusTcpClient:
        if self.client is None:
            client = ModbusTcpClient("127.0.0.1", port=self.port, retries=0, timeout=5)
            end = time.monotonic() + 60.0
            while not client.connect():
                assert time.monotonic() < end, "no server"
                time.sleep(0.02)
            self.client = client
            self._note_session(read(client))
            client.write_register(0, int(Control.RESET))
            client.write_register(0, 0)
        return self.client

    def _drop(self) -> None:
        if self.client is not None:
            self.client.close()
        self.client = None


def calibrate(path: Path, plc: Plc) -> None:
    """Trigger parts over the control socket until the camera is armed; none of them concerns the PLC."""
    client = plc._connected()
    end, number = time.monotonic() + 90.0, 0
    while not bits(read(client)) & Status.ARMED:
        assert time.monotonic() < end, "not armed"
        number += 1
        try:
            ask(path, "inspect", part=str(number))
        except InspectdError:
            time.sleep(0.1)
        time.sleep(0.01)


def soak(start: Starter, plc: Plc, tmp_path: Path, *, handshakes: int, kills: int) -> None:
    """Handshakes, while the agent is killed so many times in the middle of them."""
    process = start()
    calibrate(socket_path(tmp_path), plc)
    for kill in range(kills + 1):
        goal = handshakes * (kill + 1) // (kills + 1)
        while plc.parts < goal:
            plc.inspect()
            if kill < kills and plc.parts == goal - 1:
                # In the middle of the last handshake of this run.
                plc._await(lambda status: bool(status & Status.READY))
                plc.parts += 1
                number = plc.parts
                plc._connected().write_registers(0, [int(Control.TRIGGER), 0, number >> 16, number & 0xFFFF])
                process.kill()
                process.wait()
                plc.lost += 1
                plc._drop()
                process = start()
    assert plc.parts == handshakes
    assert plc.judged + plc.lost == handshakes
    assert plc.lost == kills
    assert len(set(plc.sessions)) == kills + 1
    assert plc.unready == kills + 1, "a new agent is not ready before its camera is armed"


def test_no_result_is_for_a_wrong_part_while_the_agent_is_killed(start: Starter, port: int, tmp_path: Path) -> None:
    soak(start, Plc(port), tmp_path, handshakes=30, kills=1)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_ten_thousand_handshakes_and_twenty_kills(start: Starter, port: int, tmp_path: Path) -> None:
    soak(start, Plc(port), tmp_path, handshakes=10_000, kills=20)
