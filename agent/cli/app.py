"""The command line as a Typer app, built from the table of commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from agent.cli.table import COMMANDS, GROUPS, heading
from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import raise_on_interrupt
from agent.core.errors import Permanent

HELP = "Visual inspection for cameras and X-ray lines: learns what good parts look like, reports defects over MQTT."


def build_app(commands: Mapping[str, Callable[..., None]] = COMMANDS) -> typer.Typer:
    """The command line with these commands, by full name: `run`, `bundle sign`."""
    app = typer.Typer(
        name="inspectd",
        help=HELP,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_begin)
    groups = {"": app}
    for name, command in commands.items():
        group, _, word = name.rpartition(" ")
        _add_group(groups, group, commands)
        if name not in GROUPS:
            panel = None if group else heading(word)
            groups[group].command(word, cls=_Command, rich_help_panel=panel)(command)
    return app


def _add_group(groups: dict[str, typer.Typer], name: str, commands: Mapping[str, Callable[..., None]]) -> None:
    """Add a group of commands, and those around it. One that is a command too runs it where no other word follows."""
    if name in groups:
        return
    above, _, word = name.rpartition(" ")
    _add_group(groups, above, commands)
    groups[name] = typer.Typer(help=GROUPS[name], no_args_is_help=name not in commands)
    if name in commands:
        groups[name].callback(cls=_Group, invoke_without_command=True)(commands[name])
    groups[above].add_typer(groups[name], name=word, rich_help_panel=None if above else heading(word))


class _Command(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return _without_empty_paths(super().parse_args, ctx, args)


class _Group(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return _without_empty_paths(super().parse_args, ctx, args)


def _without_empty_paths(parse: Callable[[Any, list[str]], list[str]], ctx: Any, args: list[str]) -> list[str]:
    """Parse the words of a command, and reject an empty path: a shell makes it of a variable that is not set.

    Python would take it for this folder. Raises Permanent.
    """
    words = list(args)
    rest = parse(ctx, args)
    is_here = any(Path() in (value if isinstance(value, (list, tuple)) else [value]) for value in ctx.params.values())
    if is_here and "." not in words and any(word == "" or word.endswith("=") for word in words):
        raise Permanent('got an empty path "", wanted the name of a file or folder; "." is this folder')
    return rest


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"inspectd {version('inspectd')}")
        raise typer.Exit


def _begin(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    raise_on_interrupt()
