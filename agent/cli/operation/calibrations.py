"""The calibrations of a running agent: list, show, roll back, review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
        from agent.cli.terminal.text import calibration_lines
        from agent.core.sockets.control_client import ask

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
        from agent.cli.terminal.text import show_lines, write_calibration_report
        from agent.core.sockets.control_client import ask

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
        from agent.core.sockets.control_client import ask

    result = ask(socket_path(socket, config), "calibration/rollback", camera, to=to)
    print_line(f"active: threshold {result['threshold']:.6g}, calibration {result['id']}")


def review(
    camera: CameraArgument = None,
    out: Annotated[Path | None, typer.Option(help="Folder to save the images to.")] = None,
    confirm_good: Annotated[
        bool, typer.Option("--confirm-good", help="All images show good parts, and the model is right for the camera.")
    ] = False,
    throw_out: Annotated[bool, typer.Option("--throw-out", help="The images shown are bad parts.")] = False,
    only: Annotated[str | None, typer.Option(help="With --throw-out, only these numbers: 1,4,7.")] = None,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Show the hottest images of a window that was stopped, or of the one in force, or decide about them."""
    with quiet_while_loading():
        from agent.cli.terminal.text import review_lines, save_suspects
        from agent.core.sockets.control_client import ask

    numbers = _numbers(only)
    if (confirm_good and throw_out) or (numbers is not None and not throw_out):
        raise typer.BadParameter("wanted --confirm-good, or --throw-out, which may have --only")
    request: dict[str, Any] = {
        "confirm_good": confirm_good,
        "throw_out": throw_out,
        "only": numbers,
        "inline": out is not None,
    }
    result = ask(socket_path(socket, config), "calibration/review", camera, **request)
    files = [] if out is None else [str(path) for path in save_suspects(result, out)]
    if json_document:
        for suspect in result["suspects"]:
            suspect.pop("base64")
        print_json({**result, "files": files})
        return
    for line in (*review_lines(result, camera or ""), *files):
        print_line(line)


def _numbers(text: str | None) -> list[int] | None:
    """The numbers in `1,4,7`; None for no text."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise typer.BadParameter(f"got {text}, wanted numbers such as 1,4,7", param_hint="--only")
    return [int(part) for part in parts]
