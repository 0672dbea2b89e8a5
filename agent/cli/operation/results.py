"""The results of the latest parts of an agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from agent.cli.options import AgentConfigOption, JsonOption, SocketOption, socket_path
from agent.cli.terminal.console import print_json, print_line
from agent.cli.terminal.interrupts import quiet_while_loading

_VERDICTS = ("ok", "nok", "not_judged")


def list_results(
    part: Annotated[str | None, typer.Argument(help="Letters of the id or of the code; without them, all.")] = None,
    camera: Annotated[str | None, typer.Option(help="Parts of this camera only.")] = None,
    group: Annotated[str | None, typer.Option(help="Joined parts of this group of cameras only.")] = None,
    product: Annotated[str | None, typer.Option(help="Parts of this product only.")] = None,
    verdict: Annotated[str | None, typer.Option(help="ok, nok or not_judged.", metavar="VERDICT")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of parts, the latest ones.")] = 20,
    socket: SocketOption = None,
    config: AgentConfigOption = None,
    json_document: JsonOption = False,
) -> None:
    """List the latest parts with their verdicts, newest first; the last 20,000 are kept."""
    with quiet_while_loading():
        from agent.core.sockets.control_client import ask

    if verdict not in (None, *_VERDICTS):
        raise typer.BadParameter(f"got {verdict!r}, wanted {', '.join(_VERDICTS)}", param_hint="--verdict")
    fields = {"part": part, "group": group, "product": product, "verdict": verdict, "limit": limit}
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    result = ask(socket_path(socket, config), "results/list", camera, **given)
    if json_document:
        print_json(result)
        return
    for line in _lines(result["parts"]):
        print_line(line)


def _lines(parts: list[Mapping[str, Any]]) -> Iterator[str]:
    for part in parts:
        what = part["reason"] if part["score"] is None else f"score {part['score']:.4g} / {part['threshold']:.4g}"
        more = [part["product"], f"code {part['code']}" if part["code"] else None]
        more.append(f"alarm {part['alarm']}" if part["alarm"] else None)
        facts = ", ".join([what, *filter(None, more)])
        yield f"{part['captured_at']}  {part['camera']}  {part['verdict']:<10}  {part['part']}  {facts}"
    if not parts:
        yield "no part fits"
