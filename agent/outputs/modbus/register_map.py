"""The register map, version 1: the one table that server, simulator and docs/modbus.md share.

Addresses count from 0, as in the protocol. Values of two registers have the high word first; floats are IEEE 754.
The map is a contract: rows may be added in free places, and nothing else may change without a new version.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

from agent.core.records import NotJudged, PartVerdict, Phase

MAP_VERSION = 1


class Control(IntFlag):
    """Bits of the control word, which the PLC writes; the coils 0 to 2 are the same bits."""

    TRIGGER = 1 << 0
    ACKNOWLEDGE = 1 << 1
    RESET = 1 << 2


CONTROL_MASK = int(Control.TRIGGER | Control.ACKNOWLEDGE | Control.RESET)


class Status(IntFlag):
    """Bits of the status word; the discrete inputs 0 to 15 are the same bits."""

    HEARTBEAT = 1 << 0
    READY = 1 << 1
    BUSY = 1 << 2
    RESULTS_READY = 1 << 3
    OK = 1 << 4
    NOK = 1 << 5
    NOT_JUDGED = 1 << 6
    ARMED = 1 << 7
    BLIND = 1 << 8
    ALARM = 1 << 9
    REJECTED = 1 << 10
    DRIFT = 1 << 11
    DRY_RUN = 1 << 12
    TRIGGERED = 1 << 13


class Rejection(IntEnum):
    """Why the latest trigger was rejected."""

    NONE = 0
    NOT_READY = 1
    """The bit `ready` was not set."""
    AGENT = 2
    """The agent rejected the command; its log has the reason."""
    PRODUCT = 3
    """The product number is not in the settings, or the agent cannot inspect this product."""


VERDICTS = {PartVerdict.OK: 1, PartVerdict.NOK: 2, PartVerdict.NOT_JUDGED: 3}
VERDICT_BITS = {PartVerdict.OK: Status.OK, PartVerdict.NOK: Status.NOK, PartVerdict.NOT_JUDGED: Status.NOT_JUDGED}
REASONS = {
    NotJudged.CALIBRATING: 1,
    NotJudged.UNCERTIFIED: 2,
    NotJudged.PAUSED: 3,
    NotJudged.BLIND: 4,
    NotJudged.LATE: 5,
    NotJudged.STOPPED: 6,
    NotJudged.NO_PRODUCT: 7,
    NotJudged.VIEW_MISSING: 8,
    NotJudged.PART_NOT_FOUND: 9,
}
PHASES = {
    Phase.STARTING: 0,
    Phase.CALIBRATING: 1,
    Phase.ARMED: 2,
    Phase.REFUSED: 3,
    Phase.PAUSED: 4,
    Phase.CAMERA_LOST: 5,
    Phase.BLIND: 6,
    Phase.STOPPED: 7,
    Phase.NO_PRODUCT: 8,
}

# A state or a reason that this map has no number for.
UNKNOWN = 255

# Score or threshold where there is none; both are never negative.
NO_VALUE = -1.0


@dataclass(slots=True)
class Inputs:
    """Everything that a PLC can read of one camera, by the names of the rows of `INPUTS`."""

    map_version: int = MAP_VERSION
    status: int = 0
    heartbeat: int = 0
    session: int = 0
    phase: int = PHASES[Phase.STARTING]
    rejection: int = 0
    part: int = 0
    product: int = 0
    verdict: int = 0
    reason: int = 0
    dry_run_verdict: int = 0
    score: float = NO_VALUE
    threshold: float = NO_VALUE
    result_number: int = 0
    latency_ms: float = NO_VALUE
    ok_count: int = 0
    nok_count: int = 0
    not_judged_count: int = 0
    rejected_count: int = 0
    overwritten_count: int = 0


class Row(NamedTuple):
    """A value in the registers."""

    address: int
    kind: str
    """A key of `KINDS`."""
    name: str
    text: str
    """For docs/modbus.md."""


# By kind: its format in `struct`, and how many registers it has.
KINDS = {"uint16": (">H", 1), "uint32": (">I", 2), "float32": (">f", 2)}

INPUTS = (
    Row(0, "uint16", "map_version", "Version of this map: 1"),
    Row(1, "uint16", "status", "Status word: the bits of the discrete inputs, bit 0 the lowest"),
    Row(2, "uint16", "heartbeat", "Counts up twice a second while the agent is alive"),
    Row(
        3,
        "uint16",
        "session",
        "Random number of this run of the agent, never 0: another number means a restart, or a new group",
    ),
    Row(4, "uint16", "phase", "State of the camera, see below"),
    Row(
        5,
        "uint16",
        "rejection",
        "Why the latest trigger was rejected: 0 it was not, 1 not ready, 2 see the log, 3 unknown product",
    ),
    Row(10, "uint32", "part", "Part number of the result, as the PLC wrote it with the trigger"),
    Row(12, "uint16", "product", "Product number of the result, as the PLC wrote it with the trigger"),
    Row(13, "uint16", "verdict", "0 no result, 1 ok, 2 nok, 3 not judged"),
    Row(14, "uint16", "reason", "Why the part was not judged, see below; 0 where it was"),
    Row(15, "uint16", "dry_run_verdict", "With `dry_run`: the verdict that would be shown; else 0"),
    Row(16, "float32", "score", "Score of the part; -1 without one"),
    Row(18, "float32", "threshold", "The threshold; -1 without one"),
    Row(20, "uint32", "result_number", "Number of the result, counted from 1 since the agent started"),
    Row(22, "float32", "latency_ms", "From the trigger, or from the first frame, to the result, milliseconds"),
    Row(30, "uint32", "ok_count", "Parts ok since the agent started"),
    Row(32, "uint32", "nok_count", "Parts nok since the agent started"),
    Row(34, "uint32", "not_judged_count", "Parts not judged since the agent started"),
    Row(36, "uint32", "rejected_count", "Triggers over Modbus that were rejected since the agent started"),
    Row(38, "uint32", "overwritten_count", "Results replaced by a newer one before their acknowledgement"),
)
INPUT_REGISTERS = 40

HOLDINGS = (
    Row(0, "uint16", "control", "Control word: the bits of the coils, bit 0 the lowest"),
    Row(
        1, "uint16", "product", "Product number of the next part; with `products` in the settings, which product it is"
    ),
    Row(2, "uint32", "part", "Part number of the next part"),
)
HOLDING_REGISTERS = 4


def encode(values: object, rows: Sequence[Row], count: int) -> list[int]:
    """The registers [count] of the attributes of `values` that `rows` name; free places are 0.

    >>> encode(Inputs(part=70000, score=0.5), INPUTS, INPUT_REGISTERS)[10:18]
    [1, 4464, 0, 0, 0, 0, 16128, 0]
    """
    registers = [0] * count
    for row in rows:
        form, words = KINDS[row.kind]
        registers[row.address : row.address + words] = struct.unpack(
            f">{words}H", struct.pack(form, getattr(values, row.name))
        )
    return registers


def decode(registers: Sequence[int], rows: Sequence[Row] = INPUTS) -> Mapping[str, int | float]:
    """The values of registers that begin at address 0, by name.

    >>> decode(encode(Inputs(part=70000, score=0.5), INPUTS, INPUT_REGISTERS))["part"]
    70000
    """
    values = {}
    for row in rows:
        form, words = KINDS[row.kind]
        packed = struct.pack(f">{words}H", *registers[row.address : row.address + words])
        (values[row.name],) = struct.unpack(form, packed)
    return values
