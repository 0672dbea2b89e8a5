"""The calibrations of a running agent: list, show, roll back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import AgentConfigOption, CameraArgument, JsonOption, SocketOption, socket_path
from agent.cli.terminal.console import print_json, print_line
from agent.cli.terminal.interrupts import quiet_while_loading


def list_calibrations(
    camera: CameraArgument = None,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """List all calibrations, oldest first. A star marks the active one."""
    with quiet_while_loading():
        from agent.cli.text import calibration_lines
        from agent.commands import ask

    result = ask(socket_path(socket, config), "calibration/list", camera)
    if json_document:
        print_json(result)
        return
    for line in calibration_lines(result):
        print_line(line)


def show_calibration(
    camera: CameraArgument = None,
    of: Annotated[str | None, typer.Option("--id", help="Id of the calibration; the active one by default.")] = None,
    html: Annotated[Path | None, typer.Option(help="File to write a report with charts to, HTML.")] = None,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Show one calibration: its threshold, its promise and the window it was computed from."""
    with quiet_while_loading():
        from agent.cli.text import show_lines, write_calibration_report
        from agent.commands import ask

    result = ask(socket_path(socket, config), "calibration/show", camera, of=of)
    if html is not None:
        write_calibration_report(Path(result["file"]), html)
    if json_document:
        print_json(result)
        return
    for line in show_lines(result):
        print_line(line)


def roll_back(
    camera: CameraArgument = None,
    to: Annotated[str | None, typer.Option(help="Id of the calibration; the previous one by default.")] = None,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
) -> None:
    """Activate an earlier calibration again."""
    with quiet_while_loading():
        from agent.commands import ask

    result = ask(socket_path(socket, config), "calibration/rollback", camera, to=to)
    print_line(f"active: threshold {result['threshold']:.6g}, calibration {result['id']}")
