"""The program of a PLC: it connects, waits for ready, triggers, reads the result, acknowledges."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from agent.core.errors import Permanent, Temporary
from agent.core.records import NotJudged, PartVerdict
from agent.outputs.modbus.register_map import (
    INPUT_REGISTERS,
    MAP_VERSION,
    NO_VALUE,
    REASONS,
    VERDICTS,
    Control,
    Rejection,
    Status,
    decode,
)

# It logs what is reported here in a sentence.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

# How often the registers are read while the PLC waits.
POLL_SECONDS = 0.002

# Longest wait for the answer to one request.
ANSWER_SECONDS = 3.0

REJECTIONS = {Rejection.NOT_READY: "the agent is not ready", Rejection.AGENT: "the agent rejected it; see its log"}


@dataclass(frozen=True, slots=True)
class Inspected:
    """The result of one part, as a PLC reads it."""

    part: int
    product: int
    verdict: PartVerdict | None
    """None in a dry run."""
    reason: NotJudged | None
    score: float | None
    threshold: float | None
    round_trip_ms: float
    """From the write of the trigger until the result was read, milliseconds."""
    agent_ms: float
    """From the trigger to the result in the agent, milliseconds."""
    dry_run: PartVerdict | None = None
    """In a dry run: the verdict that would be shown."""


class Plc:
    """One camera of an agent, seen from the PLC. Raises Temporary without a connection or an answer in time."""

    def __init__(self, host: str, port: int, *, unit: int = 1, timeout_seconds: float = 10.0) -> None:
        """Args:
        host: of the agent.
        port: of its Modbus server.
        unit: unit id of the camera.
        timeout_seconds: the longest wait for ready, and for a result.
        """
        self._place = f"{host}:{port}"
        self._unit = unit
        self._timeout_seconds = timeout_seconds
        self._client = ModbusTcpClient(host, port=port, retries=0, timeout=ANSWER_SECONDS)

    def __enter__(self) -> Plc:
        """Connect. Raises Permanent for another register map."""
        if not self._client.connect():  # type: ignore[no-untyped-call]
            raise Temporary(
                f"no Modbus server answers at {self._place}; is the agent running, and this client allowed?"
            )
        version = self.read()["map_version"]
        if version != MAP_VERSION:
            raise Permanent(f"{self._place}: register 0 has {version}, wanted {MAP_VERSION}, the version of the map")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def read(self) -> Mapping[str, Any]:
        """All input registers, by name."""
        response = self._ask(lambda: self._client.read_input_registers(0, count=INPUT_REGISTERS, device_id=self._unit))
        return decode(response.registers)

    def reset(self) -> None:
        """End a handshake that another client, or an earlier run, has left."""
        self.write(Control.RESET)
        self.write(Control(0))

    def write(self, control: Control, part: int = 0, product: int = 0) -> None:
        """Write the control word and the numbers, in one request."""
        values = [int(control), product, part >> 16, part & 0xFFFF]
        self._ask(lambda: self._client.write_registers(0, values, device_id=self._unit))

    def inspect(self, part: int, product: int = 0) -> Inspected:
        """One part, from ready to its acknowledged result. Raises Permanent for a result of another part."""
        self._await("ready", lambda status: bool(status & Status.READY))
        begun = time.monotonic()
        self.write(Control.TRIGGER, part, product)
        values = self._await(f"result of part {part}", lambda status: bool(status & Status.RESULTS_READY))
        round_trip_ms = (time.monotonic() - begun) * 1000.0
        self.write(Control.ACKNOWLEDGE, part, product)
        if values["part"] != part:
            raise Permanent(f"got the result of part {values['part']}, wanted that of part {part}")
        return _inspected(values, round_trip_ms)

    def _await(self, what: str, condition: Callable[[Status], bool]) -> Mapping[str, Any]:
        end = time.monotonic() + self._timeout_seconds
        while True:
            values = self.read()
            status = Status(values["status"])
            if condition(status):
                return values
            if status & Status.ARMED and not status & Status.TRIGGERED:
                raise Permanent(f"{self._place}: this camera has no trigger; wanted parts = {{ trigger = true }}")
            if status & Status.REJECTED:
                reason = REJECTIONS.get(values["rejection"], f"reason {values['rejection']}")
                raise Temporary(f"{self._place}: the trigger was rejected: {reason}")
            if time.monotonic() > end:
                raise Temporary(f"{self._place}: no {what} within {self._timeout_seconds:g} s ({describe(values)})")
            time.sleep(POLL_SECONDS)

    def _ask(self, request: Callable[[], Any]) -> Any:
        try:
            response = request()
        except (ModbusException, OSError) as error:
            raise Temporary(f"{self._place}: no answer: {error}") from None
        if response.isError():
            code = response.exception_code
            raise Permanent(f"{self._place}: exception {code}" + (f": no unit {self._unit}" if code == 11 else ""))
        return response


def describe(values: Mapping[str, Any]) -> str:
    """The bits that are set, in words.

    >>> describe({"status": 0b10001011})
    'ready, results ready, armed'
    """
    bits = [bit for bit in Status if bit is not Status.HEARTBEAT and values["status"] & bit]
    return ", ".join(str(bit.name).lower().replace("_", " ") for bit in bits) or "no bit is set"


def _inspected(values: Mapping[str, Any], round_trip_ms: float) -> Inspected:
    verdicts = {number: verdict for verdict, number in VERDICTS.items()}
    reasons = {number: reason for reason, number in REASONS.items()}
    return Inspected(
        part=values["part"],
        product=values["product"],
        verdict=verdicts.get(values["verdict"]),
        reason=reasons.get(values["reason"]),
        score=None if values["score"] == NO_VALUE else values["score"],
        threshold=None if values["threshold"] == NO_VALUE else values["threshold"],
        round_trip_ms=round_trip_ms,
        agent_ms=values["latency_ms"],
        dry_run=verdicts.get(values["dry_run_verdict"]),
    )
