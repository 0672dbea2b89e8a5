"""`inspectd …`: parse, call, print. Exit code 0: done. 1: failed, with one clear line on stderr. 2: wrong usage.

Exit code 130: interrupted with Ctrl-C. Everything is imported inside `main`, which handles an interrupt meanwhile.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import typer


def main(app: typer.Typer | None = None) -> NoReturn:
    """The entry point. An expected error is one line; a bug is shown with its traceback."""
    try:
        from agent.cli.terminal.interrupts import INTERRUPTED, is_interrupt, quiet_while_loading
    except KeyboardInterrupt:
        sys.exit(130)
    with quiet_while_loading():
        import traceback

        from agent.cli.app import build_app
        from agent.cli.terminal.console import accept_any_text, print_error
        from agent.core.expected import error_text, is_expected

        accept_any_text()
        try:
            # Its callback ends the quiet time when the command is known.
            (app or build_app())(prog_name="inspectd")
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except Exception as error:
            if is_interrupt(error):
                sys.exit(INTERRUPTED)
            if not is_expected(error):
                traceback.print_exception(error)
            print_error(error_text(error))
            sys.exit(1)
    sys.exit(0)
