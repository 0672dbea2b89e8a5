"""`inspectd …`: parse, call, print. Exit 0 done, 1 failed with one clear line, 2 wrong usage."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from agent.cli import calibrations, demo, device, engines, model, running_agent, signing
from agent.cli.console import complain
from agent.core.errors import InspectdError

app = typer.Typer(
    name="inspectd",
    help="Turns a camera or an X-ray line into an inspector.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bundle_app = typer.Typer(help="Model bundles.", no_args_is_help=True)
app.add_typer(bundle_app, name="bundle")
calibration_app = typer.Typer(help="The calibrations of a running agent.", no_args_is_help=True)
app.add_typer(calibration_app, name="calibration")
app.add_typer(engines.engine_app, name="engine")

# In the order in which `inspectd --help` shows them.
COMMANDS: tuple[Callable[..., None], ...] = (
    demo.demo,
    demo.simulate,
    model.train,
    model.score,
    model.evaluate,
    model.compare,
    model.bench,
    device.run,
    device.doctor,
    running_agent.status,
    running_agent.snapshot,
    running_agent.reload,
    running_agent.recalibrate,
    device.watch,
)
for command in COMMANDS:
    app.command()(command)
bundle_app.command("lean")(model.bundle_lean)
bundle_app.command("import")(model.bundle_import)
bundle_app.command("keygen")(signing.keygen)
bundle_app.command("sign")(signing.sign)
bundle_app.command("verify")(signing.verify)
calibration_app.command("list")(calibrations.calibration_list)
calibration_app.command("show")(calibrations.calibration_show)
calibration_app.command("rollback")(calibrations.calibration_rollback)


def main() -> NoReturn:
    """The entry point: whatever goes wrong on purpose is a line, never a traceback."""
    try:
        app(prog_name="inspectd")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        line = _explained(error)
        if line is None:
            raise
        complain(line)
        sys.exit(1)
    sys.exit(0)


def _explained(error: Exception) -> str | None:
    """The line that an error of ours, or of the system, has for the user; None for a bug, which shows itself whole."""
    from calibration import CalibrationError
    from engines.errors import EngineError

    if isinstance(error, InspectdError | EngineError | CalibrationError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'system'}: {error.strerror or error}"
    return None
