"""The alarms of an agent: list, show, judge, export for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import AgentConfigOption, JsonOption, SocketOption, socket_path
from agent.cli.terminal.console import print_json, print_line
from agent.cli.terminal.interrupts import quiet_while_loading

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.review import ReviewFolders

CameraOption = Annotated[str | None, typer.Option("--camera", help="Alarms of this camera only.")]
AlarmArgument = Annotated[
    str, typer.Argument(help="Id of the alarm; its last digits suffice where no other alarm has them.", metavar="ID")
]


def list_alarms(
    camera: CameraOption = None,
    verdict: Annotated[
        str | None, typer.Option(help="Only those judged true, judged false, or unjudged.", metavar="VERDICT")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of alarms, the latest ones.")] = 20,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """List the latest alarms with their judgements, newest first. Works without a running agent too."""
    with quiet_while_loading():
        from agent.cli.terminal.alarm_text import alarm_lines
        from agent.review import Judged, list_document, open_archive

    if verdict not in (None, "true", "false", "unjudged"):
        raise typer.BadParameter(f"got {verdict!r}, wanted true, false or unjudged", param_hint="--verdict")

    def offline(folders: ReviewFolders) -> dict[str, Any]:
        judged = None if verdict is None else verdict != "unjudged"
        wanted = Judged(verdict) if judged else None
        with open_archive(folders) as journal:
            return list_document(journal, camera=camera, verdict=wanted, judged=judged, limit=limit)

    fields = {"limit": limit, "verdict": verdict}
    result = _ask_or_read("alarms/list", camera, fields, offline, socket, config)
    if json_document:
        print_json(result)
        return
    for line in alarm_lines(result):
        print_line(line)


def show_alarm(
    alarm: AlarmArgument,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Show one alarm, all its judgements, and the files of its images. Works without a running agent too."""
    with quiet_while_loading():
        from agent.cli.terminal.alarm_text import show_alarm_lines
        from agent.review import open_archive, show_document

    def offline(folders: ReviewFolders) -> dict[str, Any]:
        with open_archive(folders) as journal:
            return show_document(journal.find(alarm), folders)

    result = _ask_or_read("alarms/show", None, {"alarm": alarm}, offline, socket, config)
    if json_document:
        print_json(result)
        return
    for line in show_alarm_lines(result):
        print_line(line)


def judge_alarm(
    alarm: AlarmArgument,
    true: Annotated[
        bool | None, typer.Option("--true/--false", help="The part was bad; or: a false alarm.", show_default=False)
    ] = None,
    by: Annotated[str | None, typer.Option(help="Name of the person; your login name by default.")] = None,
    note: Annotated[str | None, typer.Option(help="A remark.")] = None,
    kind: Annotated[str | None, typer.Option(help='Kind of the defect, such as "scratch".')] = None,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Judge an alarm of a running agent, or change its judgement. Earlier judgements are kept."""
    with quiet_while_loading():
        from agent.cli.terminal.alarm_text import judged_line
        from agent.core.sockets.control_client import ask, login_name

    if true is None:
        raise typer.BadParameter("got neither, wanted one of them", param_hint="--true / --false")
    request: dict[str, Any] = {"alarm": alarm, "verdict": "true" if true else "false", "by": by or login_name()}
    result = ask(socket_path(socket, config), "alarms/judge", None, **request, note=note, kind=kind)
    if json_document:
        print_json(result)
        return
    print_line(judged_line(result))


def export_alarms(
    directory: Annotated[Path, typer.Argument(help="New or empty folder for the images.", metavar="DIR")],
    camera: CameraOption = None,
    samples: Annotated[bool, typer.Option(help="With the random sample of frames that raised no alarm.")] = True,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """Write the images of judged alarms to good/ and bad/, for train, evaluate and compare.

    Reads the state directory of the agent, which may run or not.
    """
    with quiet_while_loading():
        from agent.cli.terminal.alarm_text import export_lines
        from agent.review import export_document, export_images, open_archive

    folders = _folders(config)
    with open_archive(folders) as journal:
        result = export_document(export_images(folders, journal, directory, camera=camera, samples=samples))
    if json_document:
        print_json(result)
        return
    for line in export_lines(result):
        print_line(line)


def _ask_or_read(
    command: str,
    camera: str | None,
    fields: dict[str, Any],
    offline: Callable[[ReviewFolders], dict[str, Any]],
    socket: Path | None,
    config: Path | None,
) -> dict[str, Any]:
    """The result of a running agent or, where none runs, of its state directory."""
    from agent.core.errors import Temporary
    from agent.core.sockets.control_client import ask

    try:
        return ask(socket_path(socket, config), command, camera, **fields)
    except Temporary:
        if socket is not None:
            raise
    return offline(_folders(config))


def _folders(config: Path | None) -> ReviewFolders:
    from agent.review import ReviewFolders
    from agent.settings import default_state_directory, load_settings

    directory = default_state_directory() if config is None else load_settings(config).state_directory
    return ReviewFolders.of(directory)
