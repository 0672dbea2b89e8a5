"""The command line as a Typer app, built from the table of commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Annotated

import typer

from agent.cli.table import COMMANDS, GROUPS, heading
from agent.cli.terminal.console import print_line
from agent.cli.terminal.interrupts import raise_on_interrupt

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
            groups[group].command(word, rich_help_panel=None if group else heading(word))(command)
    return app


def _add_group(groups: dict[str, typer.Typer], name: str, commands: Mapping[str, Callable[..., None]]) -> None:
    """Add a group of commands, and those around it. One that is a command too runs it where no other word follows."""
    if name in groups:
        return
    above, _, word = name.rpartition(" ")
    _add_group(groups, above, commands)
    groups[name] = typer.Typer(help=GROUPS[name], no_args_is_help=name not in commands)
    if name in commands:
        groups[name].callback(invoke_without_command=True)(commands[name])
    groups[above].add_typer(groups[name], name=word, rich_help_panel=None if above else heading(word))


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
