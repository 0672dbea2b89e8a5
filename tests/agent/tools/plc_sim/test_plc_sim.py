"""`inspectd plc-sim` against the real Modbus server: results, times, and what it says when something is wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import Permanent, Temporary
from agent.core.problems import Problems
from agent.core.records import NotJudged, PartVerdict, Phase
from agent.messages import CommandResponse
from agent.outputs import Output, build_outputs
from agent.outputs.outbox import Outbox
from agent.outputs.settings import parse_section
from tests.agent.outputs.modbus.support import AT, client, part, state
from tests.support.agents import inspectd
from tests.support.broker import free_port

pytest.importorskip("pymodbus", reason="Modbus needs the extra modbus")
from agent.tools.plc_sim.plc import Inspected, Plc
from agent.tools.plc_sim.run import read_address, result_line, run_parts, summary_line, watch_registers

# Which verdict the part with this number gets.
VERDICTS = {2: PartVerdict.NOK, 3: PartVerdict.NOT_JUDGED}


class Inspection:
    """Judges each part as soon as it is announced."""

    def __init__(self) -> None:
        self.output: Output | None = None
        self.accepts = True
        self.answers = True

    def execute(self, name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        number = json.loads(payload)["part"]
        if self.accepts and self.answers:
            threading.Thread(target=self._judge, args=(number, time.monotonic())).start()
        return CommandResponse(command=name, site="plant", camera=camera, at=AT, ok=self.accepts, result={})

    def _judge(self, number: str, started: float) -> None:
        verdict = VERDICTS.get(int(number), PartVerdict.OK)
        unknown = verdict is PartVerdict.NOT_JUDGED
        reason, score = (NotJudged.LATE, None) if unknown else (None, 0.25)
        assert self.output is not None
        self.output.show_result(part(number, verdict, started=started, reason=reason, score=score))


@pytest.fixture
def inspection() -> Inspection:
    return Inspection()


@pytest.fixture
def serve(tmp_path: Path, inspection: Inspection) -> Iterator[Callable[..., int]]:
    """Starts the server of an agent; returns its port."""
    outbox, running = Outbox(tmp_path / "outbox.sqlite"), []

    def started(*, ready: bool | None = True, phase: Phase = Phase.ARMED, **more: Any) -> int:
        port = free_port()
        section = parse_section({"kind": "modbus", "port": port, **more})
        (output,) = build_outputs({"plc": section}, site="plant", outbox=outbox, problems=Problems())
        running.append(output)
        inspection.output = output
        output.serve_commands(inspection.execute)
        output.announce({"line1": "m"})
        output.start()
        output.publish_state(state(phase, ready=ready))
        with client(port):
            return port

    yield started
    for output in running:
        output.stop(5.0)
    outbox.close()


def test_parts_are_inspected_one_after_the_other(serve: Callable[..., int]) -> None:
    results: list[Inspected] = []
    with Plc("127.0.0.1", serve()) as plc:
        summary = run_parts(plc, parts=4, first=1, product=5, interval_seconds=0.0, on_result=results.append)
    assert [(each.part, each.product) for each in results] == [(1, 5), (2, 5), (3, 5), (4, 5)]
    assert [each.verdict for each in results] == [VERDICTS.get(number, PartVerdict.OK) for number in range(1, 5)]
    assert (results[2].reason, results[2].score) == (NotJudged.LATE, None)
    assert all(0.0 < each.agent_ms <= each.round_trip_ms for each in results)
    assert summary["verdicts"] == {"ok": 2, "nok": 1, "not_judged": 1}
    assert result_line(results[2]).startswith("part 3: not_judged (late)   ")
    assert summary_line(summary).startswith("4 parts: 2 ok, 1 nok, 1 not judged; trigger to result: p50 ")


def test_triggers_keep_their_interval(serve: Callable[..., int]) -> None:
    with Plc("127.0.0.1", serve()) as plc:
        begun = time.monotonic()
        run_parts(plc, parts=4, first=1, product=0, interval_seconds=0.1, on_result=lambda _: None)
        assert time.monotonic() - begun >= 0.3


def test_the_command_prints_a_line_for_each_part(serve: Callable[..., int]) -> None:
    done = inspectd("plc-sim", f"127.0.0.1:{serve()}", "--parts", "2", "--first", "70000", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["part"] for line in lines[:2]] == [70000, 70001]
    assert lines[2]["verdicts"] == {"ok": 2}


def test_a_dry_run_is_shown_as_such(serve: Callable[..., int]) -> None:
    results: list[Inspected] = []
    with Plc("127.0.0.1", serve(dry_run=True)) as plc:
        run_parts(plc, parts=1, first=2, product=0, interval_seconds=0.0, on_result=results.append)
    assert result_line(results[0]).startswith("part 2: dry run, would be nok   score 0.25, threshold 0.5")


def test_what_goes_wrong_is_one_line(serve: Callable[..., int], inspection: Inspection) -> None:
    with pytest.raises(Temporary, match=r"no Modbus server answers at 127\.0\.0\.1:1;"), Plc("127.0.0.1", 1):
        pass
    with Plc("127.0.0.1", serve(ready=None)) as plc, pytest.raises(Permanent, match="this camera has no trigger"):
        plc.inspect(1)
    port = serve(ready=False, phase=Phase.CALIBRATING)
    with (
        Plc("127.0.0.1", port, timeout_seconds=0.1) as plc,
        pytest.raises(Temporary, match=r"no ready within 0.1 s \(triggered\)"),
    ):
        plc.inspect(1)
    inspection.accepts = False
    with Plc("127.0.0.1", serve()) as plc:
        plc.reset()
        with pytest.raises(Temporary, match="rejected: the agent rejected it"):
            plc.inspect(1)
    inspection.accepts, inspection.answers = True, False
    with Plc("127.0.0.1", serve(), timeout_seconds=0.2) as plc:
        plc.reset()
        with pytest.raises(Temporary, match="no result of part 1 within"):
            plc.inspect(1)


def test_changes_of_registers_are_printed_once(serve: Callable[..., int], inspection: Inspection) -> None:
    port = serve(ready=None)
    lines: list[str] = []
    with Plc("127.0.0.1", port) as plc:
        assert inspection.output is not None
        inspection.output.show_result(part("a", started=time.monotonic()))
        while plc.read()["result_number"] != 1:
            pass
        watch_registers(plc, lines.append, rounds=14)
    assert "  1  status             results ready, ok, armed" in lines
    assert " 16  score              0.25" in lines
    assert len(lines) == 19, "each register once, and no heartbeat"


@pytest.mark.parametrize("address", ["", "host", "host:", "host:0", "host:65536", ":502", "host:five"])
def test_addresses_that_are_none_are_rejected(address: str) -> None:
    with pytest.raises(Permanent, match="wanted HOST:PORT"):
        read_address(address)
