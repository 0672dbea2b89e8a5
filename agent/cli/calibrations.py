"""The calibrations of an agent that runs: list, show, roll back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.console import say, say_json
from agent.cli.options import Json, MaybeConfig, Socket, door_path


def calibration_list(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    socket: Socket = None,
    config: MaybeConfig = None,
    json_document: Json = False,
) -> None:
    """Every calibration, oldest first; the one in force has a star."""
    from agent.cli.text import calibration_lines
    from agent.commands import ask

    result = ask(door_path(socket, config), "calibration/list", camera)
    if json_document:
        say_json(result)
    else:
        for line in calibration_lines(result):
            say(line)


def calibration_show(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    of: Annotated[str | None, typer.Option("--id", help="Its id; the one in force if not given.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with pictures to this file.")] = None,
    socket: Socket = None,
    config: MaybeConfig = None,
    json_document: Json = False,
) -> None:
    """One calibration: threshold, promise, what it rests on."""
    from agent.cli.text import show_lines, write_report
    from agent.commands import ask

    result = ask(door_path(socket, config), "calibration/show", camera, of=of)
    if html is not None:
        write_report(Path(result["file"]), html)
    if json_document:
        say_json(result)
        return
    for line in show_lines(result):
        say(line)


def calibration_rollback(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    to: Annotated[str | None, typer.Option(help="Id of a calibration; the one before if not given.")] = None,
    socket: Socket = None,
    config: MaybeConfig = None,
) -> None:
    """Put the calibration before this one, or the one of an id, in force again."""
    from agent.commands import ask

    result = ask(door_path(socket, config), "calibration/rollback", camera, to=to)
    say(f"in force: threshold {result['threshold']:.6g}, calibration {result['id']}")
