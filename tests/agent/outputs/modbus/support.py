"""States, results and clients for the tests of the Modbus output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import pytest

from agent.core.records import NotJudged, Part, PartVerdict, Phase
from agent.messages import ModelPayload, RulePayload, StatePayload
from agent.outputs.modbus.register_map import INPUT_REGISTERS, Status, decode

pytest.importorskip("pymodbus", reason="Modbus needs the extra modbus")
from pymodbus.client import ModbusTcpClient

AT = datetime(2026, 3, 1, tzinfo=timezone.utc)


def state(
    phase: Phase = Phase.ARMED, *, ready: bool | None = True, camera: str = "line1", **more: object
) -> StatePayload:
    """The state of a triggered camera; `ready=None`: it has no trigger."""
    return StatePayload.model_validate(
        {
            "site": "plant",
            "camera": camera,
            "at": AT,
            "phase": phase,
            "rule": RulePayload(k=1, n=1),
            "model": ModelPayload(name="m", sha256="0" * 64),
            "engine": "e",
            "ready": ready,
            **more,
        }
    )


def part(
    name: str,
    verdict: PartVerdict = PartVerdict.OK,
    *,
    started: float,
    reason: NotJudged | None = None,
    score: float | None = 0.25,
    camera: str = "line1",
) -> Part:
    """The result of a part whose trigger came at `started`, monotonic seconds."""
    return Part(name, camera, verdict, reason, score, 0.5, "c", 1, 0, AT, started)


@contextmanager
def client(port: int, **more: object) -> Iterator[ModbusTcpClient]:
    """A client that is connected."""
    found = ModbusTcpClient("127.0.0.1", port=port, retries=0, timeout=5, **more)  # type: ignore[arg-type]
    end = time.monotonic() + 20.0
    while not found.connect():
        assert time.monotonic() < end, "no server"
        time.sleep(0.02)
    try:
        yield found
    finally:
        found.close()


def read(plc: ModbusTcpClient, unit: int = 1) -> dict[str, int | float]:
    """All input registers, by name."""
    response = plc.read_input_registers(0, count=INPUT_REGISTERS, device_id=unit)
    assert not response.isError(), response
    return dict(decode(response.registers))


def bits(values: dict[str, int | float]) -> Status:
    """The status word."""
    return Status(int(values["status"]))
