"""A simulator of a PLC. It needs the extra `modbus`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from agent.cli.options import JsonOption
from agent.cli.terminal.console import print_json, print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.core.errors import Permanent

_Interval = Annotated[float, typer.Option(min=0.0, max=3600.0, help="Seconds from one trigger to the next, at least.")]
_Timeout = Annotated[float, typer.Option(min=0.1, max=3600.0, help="Longest wait for ready and for a result, seconds.")]


def plc_sim(
    address: Annotated[str, typer.Argument(help="Modbus server of an agent: HOST:PORT.")] = "127.0.0.1:5020",
    unit: Annotated[int, typer.Option(min=0, max=255, help="Unit id of the camera.")] = 1,
    parts: Annotated[int, typer.Option(min=1, help="How many parts to inspect.")] = 10,
    first: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Number of the first part.")] = 1,
    product: Annotated[int, typer.Option(min=0, max=65535, help="Product number.")] = 0,
    interval: _Interval = 0.0,
    timeout: _Timeout = 10.0,
    watch: Annotated[bool, typer.Option("--watch", help="Only show the registers, and write nothing.")] = False,
    json_document: JsonOption = False,
) -> None:
    """Take the part of a PLC: trigger parts over Modbus TCP, and print their results and times."""
    if find_spec("pymodbus") is None:
        raise Permanent("plc-sim needs pymodbus: pip install 'inspectd[modbus]'")
    with quiet_while_loading():
        from agent.tools.plc_sim.plc import Plc
        from agent.tools.plc_sim.run import (
            read_address,
            result_document,
            result_line,
            run_parts,
            summary_line,
            watch_registers,
        )

    host, port = read_address(address)
    with Plc(host, port, unit=unit, timeout_seconds=timeout) as plc:
        if watch:
            watch_registers(plc, print_line)
            return
        summary = run_parts(
            plc,
            parts=parts,
            first=first,
            product=product,
            interval_seconds=interval,
            on_result=lambda r: print_json(result_document(r)) if json_document else print_line(result_line(r)),
        )
    print_json(summary) if json_document else print_line(summary_line(summary))
