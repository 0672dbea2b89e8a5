"""An agent that runs, by its door: what it does, what it sees, what it shall do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.console import progress_bar, say, say_json
from agent.cli.options import Json, MaybeConfig, Socket, door_path


def status(
    camera: Annotated[str | None, typer.Argument(help="One camera; all of them if not given.")] = None,
    socket: Socket = None,
    config: MaybeConfig = None,
    json_document: Json = False,
) -> None:
    """How a running agent and its cameras are."""
    from agent.cli.text import status_lines
    from agent.commands import ask

    result = ask(door_path(socket, config), "status", camera)
    if json_document:
        say_json(result)
    else:
        for line in status_lines(result):
            say(line)


def snapshot(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for frame, heatmap and overlay.")] = Path(),
    socket: Socket = None,
    config: MaybeConfig = None,
    json_document: Json = False,
) -> None:
    """What a camera sees now: frame, heatmap and both in one, with score and threshold."""
    from agent.cli.text import save_pictures, snapshot_lines
    from agent.commands import ask

    result = ask(door_path(socket, config), "snapshot", camera, inline=True)
    files = {path.stem.rpartition("-")[2]: str(path) for path in save_pictures(result, out)}
    if json_document:
        say_json({**result, "pictures": files})
        return
    for line in (*snapshot_lines(result), *files.values()):
        say(line)


def reload(socket: Socket = None, config: MaybeConfig = None, json_document: Json = False) -> None:
    """Have a running agent read its settings again; says which count now, and which need a restart."""
    from agent.commands import ask, reload_lines

    result = ask(door_path(socket, config), "reload")
    if json_document:
        say_json(result)
    else:
        for line in reload_lines(result):
            say(line)


def recalibrate(
    camera: Annotated[str | None, typer.Argument(help="The camera; not needed where there is one.")] = None,
    frames: Annotated[int | None, typer.Option(min=50, help="Good frames to collect.")] = None,
    false_alarms: Annotated[str | None, typer.Option(help='Budget, such as "1 per shift".')] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and go on as before.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Give up the recalibration under way.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Use it without asking, as without a terminal.")] = False,
    socket: Socket = None,
    config: MaybeConfig = None,
) -> None:
    """Find the threshold again from the frames to come; inspection goes on meanwhile."""
    from agent.commands import follow_recalibration

    path = door_path(socket, config)
    request: dict[str, Any] = {"frames": frames, "false_alarms": false_alarms}
    with progress_bar("recalibrate") as report:
        result = follow_recalibration(path, camera, cancel=cancel, request=request, progress=report)
    if result is None:
        say("cancelled; the threshold is as it was")
        return
    say(result["sentence"])
    say(result["promise"])
    if dry_run or not (yes or not sys.stdin.isatty() or typer.confirm("Use it?", default=True)):
        say(f"not used; `inspectd calibration rollback --to {result['calibration']}` would put it in force")
        return
    from agent.commands import ask

    ask(path, "calibration/rollback", camera, to=result["calibration"])
    say(f"in force: threshold {result['threshold']:.6g}, calibration {result['calibration']}")
