"""The agent on this device: run it, and check what it needs."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from agent.cli.options import ConfigOption, JsonOption
from agent.cli.terminal.console import print_json, print_line, set_up_logging
from agent.cli.terminal.interrupts import quiet_while_loading
from agent.core.errors import Permanent

if TYPE_CHECKING:
    from agent.doctor import CheckResult


def run(
    config: ConfigOption,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE; overrides the settings file.")
    ] = None,
) -> None:
    """Run the agent until SIGTERM or Ctrl-C."""
    # Engines import their libraries when the service is built. It holds nothing then that has to be put away.
    with quiet_while_loading():
        from agent.service import Service, Watchdog, keep_private
        from agent.settings import load_settings

        settings = load_settings(config, overrides or ())
        set_up_logging(settings.log.level)
        # systemd ends a hanging agent with SIGABRT: the log then shows the stack of every thread.
        faulthandler.enable()
        watchdog = Watchdog.from_environment()
        watchdog.wait_before_start()
        keep_private(settings.state_directory)
        service = Service(settings, watchdog, read_again=lambda: load_settings(config, overrides or ()))
    service.run()
    _exit_now()


def doctor(config: ConfigOption, json_document: JsonOption = False) -> None:
    """Find out what is missing on this device; print the command that fixes it. Exit code 1 if there is a problem."""
    with quiet_while_loading():
        from agent.doctor import examine

    report_checks(examine(config), json_document)


def report_checks(found: Iterable[CheckResult], json_document: bool) -> None:
    """Print each result as soon as it is known, or all as JSON. Raises Permanent if there is a problem."""
    with quiet_while_loading():
        from agent.doctor import Level, lines

    results = []
    for result in found:
        results.append(result)
        if not json_document:
            for line in lines(result):
                print_line(line)
    if json_document:
        print_json([result.document() for result in results])
    problems = sum(result.level is Level.PROBLEM for result in results)
    if problems:
        raise Permanent(f"{problems} problem{'s' if problems > 1 else ''} found")


def _exit_now() -> NoReturn:
    """End a process whose work is done. Python's own shutdown would abort if a thread is still in a driver's code."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)  # stderr is not flushed: Python writes it line by line, and a full pipe would hold the process back.
