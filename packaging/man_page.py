"""Writes inspectd(1) from the command line's own help: `python packaging/man_page.py > inspectd.1`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import typer

from agent.cli.app import build_app

FILES = (
    ("/etc/inspectd/NAME.toml", "Settings of the service inspectd@NAME."),
    ("/var/lib/inspectd/NAME", "Its calibrations, waiting alarms, images and scores."),
    ("/run/inspectd/NAME/control.sock", "Its control socket, which the other commands use."),
    ("/etc/credstore/inspectd.NAME.mqtt-password", "Its password for the broker."),
    ("/usr/share/doc/inspectd/device.md", "How to set up a device."),
)


def page(command: Any) -> Iterator[str]:
    """The lines of the page, roff."""
    yield f'.TH INSPECTD 1 "" "inspectd {version("inspectd")}" "User Commands"'
    yield from (".SH NAME", "inspectd \\- visual inspection agent for production lines")
    yield from (".SH SYNOPSIS", ".B inspectd", "COMMAND [OPTIONS] [ARGUMENTS]")
    yield from (".SH DESCRIPTION", roff(command.help or ""), ".SH COMMANDS")
    for name, sub in commands(command):
        yield from section(name, sub)
    yield from (".SH FILES",)
    for path, text in FILES:
        yield from (".TP", f".I {roff(path)}", roff(text))
    yield from (".SH EXIT STATUS", "0 done, 1 failed with one clear line on standard error, 2 wrong usage.")


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield f"{before}{name}", command
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def section(name: str, command: Any) -> Iterator[str]:
    """One command with its arguments and options."""
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    yield f".SS inspectd {roff(' '.join([name, *(str(parameter.name).upper() for parameter in arguments)]))}"
    yield roff(command.help or "")
    for option in options:
        yield from (".TP", f".B {roff(', '.join(option.opts))}", roff(getattr(option, "help", None) or ""))


def roff(text: str) -> str:
    """Text for roff: hyphens that can be copied, and no line that looks like a roff request."""
    plain = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


if __name__ == "__main__":
    sys.stdout.write("\n".join(page(typer.main.get_command(build_app()))) + "\n")
