"""`inspectd …`: parse, call, print. Exit code 0: done. 1: failed, with one clear line on stderr. 2: wrong usage."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import NoReturn

import typer

from agent.cli.console import print_error
from agent.cli.table import COMMANDS, GROUPS
from agent.core.expected import error_text, is_expected

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
    groups = {"": app}
    for name, command in commands.items():
        group, _, word = name.rpartition(" ")
        if group not in groups:
            groups[group] = typer.Typer(help=GROUPS[group], no_args_is_help=True)
            app.add_typer(groups[group], name=group)
        groups[group].command(word)(command)
    return app


def main(app: typer.Typer | None = None) -> NoReturn:
    """The entry point. An expected error is one line; a bug is shown with its traceback."""
    try:
        (app or build_app())(prog_name="inspectd")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if not is_expected(error):
            traceback.print_exception(error)
        print_error(error_text(error))
        sys.exit(1)
    sys.exit(0)
