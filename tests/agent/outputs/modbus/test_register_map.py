"""The register map is a contract: no two values share a register, and docs/modbus.md shows every one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.core.records import NotJudged, PartVerdict, Phase
from agent.outputs.modbus.register_map import (
    CONTROL_MASK,
    HOLDING_REGISTERS,
    HOLDINGS,
    INPUT_REGISTERS,
    INPUTS,
    KINDS,
    PHASES,
    REASONS,
    VERDICTS,
    Control,
    Inputs,
    Row,
    Status,
    decode,
    encode,
)

DOCUMENT = (Path(__file__).parents[4] / "docs" / "modbus.md").read_text("utf-8")


@pytest.mark.parametrize(("rows", "count"), [(INPUTS, INPUT_REGISTERS), (HOLDINGS, HOLDING_REGISTERS)])
def test_no_two_values_share_a_register(rows: tuple[Row, ...], count: int) -> None:
    taken = [place for row in rows for place in range(row.address, row.address + KINDS[row.kind][1])]
    assert len(taken) == len(set(taken))
    assert max(taken) < count


def test_values_survive_the_registers() -> None:
    values = Inputs(part=2**32 - 1, score=0.125, threshold=-1.0, session=65535, result_number=70_000, status=0x2A5)
    found = decode(encode(values, INPUTS, INPUT_REGISTERS))
    assert found == {row.name: getattr(values, row.name) for row in INPUTS}


def test_high_word_is_first() -> None:
    registers = encode(Inputs(part=0x00010002, score=1.0), INPUTS, INPUT_REGISTERS)
    assert registers[10:12] == [1, 2]
    assert registers[16:18] == [0x3F80, 0]


def test_map_has_not_changed() -> None:
    """A PLC has these addresses in its program. Version 1 may only grow in free places."""
    assert {row.name: (row.address, row.kind) for row in INPUTS}.items() >= {
        "map_version": (0, "uint16"),
        "status": (1, "uint16"),
        "heartbeat": (2, "uint16"),
        "session": (3, "uint16"),
        "phase": (4, "uint16"),
        "rejection": (5, "uint16"),
        "part": (10, "uint32"),
        "product": (12, "uint16"),
        "verdict": (13, "uint16"),
        "reason": (14, "uint16"),
        "dry_run_verdict": (15, "uint16"),
        "score": (16, "float32"),
        "threshold": (18, "float32"),
        "result_number": (20, "uint32"),
        "latency_ms": (22, "float32"),
        "ok_count": (30, "uint32"),
        "nok_count": (32, "uint32"),
        "not_judged_count": (34, "uint32"),
        "rejected_count": (36, "uint32"),
        "overwritten_count": (38, "uint32"),
    }.items()
    assert [(row.name, row.address) for row in HOLDINGS] == [("control", 0), ("product", 1), ("part", 2)]
    bits = "HEARTBEAT READY BUSY RESULTS_READY OK NOK NOT_JUDGED ARMED BLIND ALARM REJECTED DRIFT DRY_RUN TRIGGERED"
    assert {bit.name: int(bit) for bit in Status} == {name: 1 << place for place, name in enumerate(bits.split())}
    assert {bit.name: int(bit) for bit in Control} == {"TRIGGER": 1, "ACKNOWLEDGE": 2, "RESET": 4}
    assert CONTROL_MASK == 7


def test_every_verdict_reason_and_state_has_a_number() -> None:
    assert set(VERDICTS) == set(PartVerdict)
    assert set(REASONS) == set(NotJudged)
    assert set(PHASES) == set(Phase)


def test_document_has_every_register_bit_and_number() -> None:
    for row in (*INPUTS, *HOLDINGS):
        places = f"{row.address}" if KINDS[row.kind][1] == 1 else f"{row.address}, {row.address + 1}"
        assert f"| {places} | {row.kind} | {row.text} |" in DOCUMENT
    for numbers in (PHASES, REASONS):
        for member, number in numbers.items():
            assert f"| {number} | `{member.value}` |" in DOCUMENT
    for place, bit in enumerate(Status):
        name = {"REJECTED": "trigger rejected"}.get(str(bit.name), str(bit.name).lower().replace("_", " "))
        assert re.search(rf"^\| {place} \| {name} \|", DOCUMENT, re.MULTILINE), name
    for place, control in enumerate(Control):
        assert re.search(rf"^\| {place} \| {str(control.name).lower()} \|", DOCUMENT, re.MULTILINE)
