"""The command line as a Typer app, built from the table of commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

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
            groups[group].command(word, rich_help_panel=None if group else heading(word))(_without_empty_paths(command))
    return app


def _add_group(groups: dict[str, typer.Typer], name: str, commands: Mapping[str, Callable[..., None]]) -> None:
    """Add a group of commands, and those around it. One that is a command too runs it where no other word follows."""
    if name in groups:
        return
    above, _, word = name.rpartition(" ")
    _add_group(groups, above, commands)
    groups[name] = typer.Typer(help=GROUPS[name], no_args_is_help=name not in commands)
    if name in commands:
        groups[name].callback(invoke_without_command=True)(_without_empty_paths(commands[name]))
    groups[above].add_typer(groups[name], name=word, rich_help_panel=None if above else heading(word))


def _without_empty_paths(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which rejects an empty path: Python takes it for this folder, a shell makes it of an unset variable.

    Raises Permanent.
    """

    @wraps(command)
    def checked(**values: Any) -> None:
        is_here = any(Path() in (value if isinstance(value, list) else [value]) for value in values.values())
        if is_here and "." not in sys.argv and any(word == "" or word.endswith("=") for word in sys.argv):
            raise Permanent('got an empty path "", wanted the name of a file or folder; "." is this folder')
        command(**values)

    return checked


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
