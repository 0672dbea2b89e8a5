"""Commands to a running agent, over its control socket."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.options import AgentConfigOption, CameraArgument, JsonOption, SocketOption, socket_path
from agent.cli.terminal.console import print_json, print_line
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.cli.terminal.progress import progress_bar

# How long a command may wait for a model.
LOADING_SECONDS = 120.0


def status(
    camera: Annotated[str | None, typer.Argument(help="Name of a camera; all by default.")] = None,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Show the state of a running agent and its cameras."""
    with quiet_while_loading():
        from agent.cli.terminal.text import status_lines
        from agent.core.sockets.control_client import ask

    result = ask(socket_path(socket, config), "status", camera)
    if json_document:
        print_json(result)
        return
    for line in status_lines(result):
        print_line(line)


def snapshot(
    camera: CameraArgument = None,
    out: Annotated[Path, typer.Option(help="Folder for frame, heatmap and overlay.")] = Path(),
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Save the current frame of a camera with its heatmap and overlay; print score and threshold."""
    with quiet_while_loading():
        from agent.cli.terminal.text import save_images, snapshot_lines
        from agent.core.sockets.control_client import ask

    result = ask(socket_path(socket, config), "snapshot", camera, inline=True)
    files = {path.stem.rpartition("-")[2]: str(path) for path in save_images(result, out)}
    if json_document:
        print_json({**result, "pictures": files})
        return
    for line in (*snapshot_lines(result), *files.values()):
        print_line(line)


def reload(socket: SocketOption = None, config: AgentConfigOption = None, json_document: JsonOption = False) -> None:
    """Make a running agent read its settings again; print which changes are active and which need a restart."""
    with quiet_while_loading():
        from agent.commands import reload_lines
        from agent.core.sockets.control_client import ask

    result = ask(socket_path(socket, config), "reload")
    if json_document:
        print_json(result)
        return
    for line in reload_lines(result):
        print_line(line)


def pause(camera: CameraArgument = None, socket: SocketOption = None, config: AgentConfigOption = None) -> None:
    """Stop judging the frames of a camera; its active alarms are cleared."""
    _print_phase("pause", camera, socket, config)


def resume(camera: CameraArgument = None, socket: SocketOption = None, config: AgentConfigOption = None) -> None:
    """Judge the frames of a camera again."""
    _print_phase("resume", camera, socket, config)


def _print_phase(command: str, camera: str | None, socket: Path | None, config: Path | None) -> None:
    with quiet_while_loading():
        from agent.core.sockets.control_client import ask

    print_line(ask(socket_path(socket, config), command, camera)["phase"])


def product(
    camera: Annotated[str, typer.Argument(help="Name of the camera.")],
    name: Annotated[str | None, typer.Argument(help="Name of the product; without it, print the current one.")] = None,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Judge the next parts of a camera as this product, now and after a restart."""
    with quiet_while_loading():
        from agent.core.sockets.control_client import ask

    # A model that is not in memory is loaded first.
    result = ask(socket_path(socket, config), "product", camera, timeout_seconds=LOADING_SECONDS, name=name)
    if json_document:
        print_json(result)
        return
    others = ", ".join(each for each in result["products"] if each != result["product"])
    print_line(f"{result['camera']}: {result['product'] or 'no product'}, {result['phase']}")
    print_line(f"others: {others or 'none'}")


def inspect(
    part: Annotated[str, typer.Option(help="Id of the part, such as its serial number.")],
    camera: CameraArgument = None,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
) -> None:
    """Judge the next frames of a triggered camera as one part; its result is published."""
    with quiet_while_loading():
        from agent.core.sockets.control_client import ask

    result = ask(socket_path(socket, config), "inspect", camera, part=part)
    print_line(f"{ascii(result['part'])[1:-1]}: triggered, {result['waiting_before']} parts before it")


def recalibrate(
    camera: CameraArgument = None,
    frames: Annotated[int | None, typer.Option(min=50, help="Number of good frames in the window.")] = None,
    false_alarms: Annotated[str | None, typer.Option(help='Budget, such as "1 per shift".')] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute the threshold, but do not activate it.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Take every image, also those that raise an alarm: all parts are good.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the recalibration in progress.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Activate without asking; default off a terminal.")] = False,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
) -> None:
    """Compute a new threshold from the next good frames. Inspection continues meanwhile."""
    with quiet_while_loading():
        from agent.commands import follow_recalibration
        from agent.core.sockets.control_client import ask

    path = socket_path(socket, config)
    request: dict[str, Any] = {"frames": frames, "false_alarms": false_alarms, "fresh": fresh}
    with progress_bar("recalibrate") as report:
        result = follow_recalibration(path, camera, cancel=cancel, request=request, progress=report)
    if result is None:
        print_line("cancelled; the threshold is unchanged")
        return
    print_line(result["sentence"])
    print_line(result["promise"])
    if dry_run or not (yes or not sys.stdin.isatty() or typer.confirm("Activate it?", default=True)):
        print_line(f"not activated; to activate it: inspectd calibration rollback --to {result['calibration']}")
        return
    ask(path, "calibration/rollback", camera, to=result["calibration"])
    print_line(f"active: threshold {result['threshold']:.6g}, calibration {result['calibration']}")
