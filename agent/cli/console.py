"""Terminal output: results on stdout; errors, log lines and progress bars on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.cli.journal import JournalFormatter, is_journal, priority_of
from agent.core.progress import Progress


def print_line(text: str = "") -> None:
    """Print a line on stdout, unchanged."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_json(document: Any) -> None:
    """Print a JSON document on one line of stdout."""
    print_line(json.dumps(document, separators=(", ", ": "), allow_nan=False))


def print_error(text: str) -> None:
    """Print each line of the text on stderr, with the program's name in front."""
    priority = f"<{priority_of(logging.ERROR)}>" if is_journal(sys.stderr) else ""
    for line in text.splitlines() or ["failed"]:
        sys.stderr.write(f"{priority}inspectd: {line}\n")


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Show a progress bar on stderr if it is a terminal."""
    # Importing rich takes a tenth of a second, which a restarting agent does not need to spend.
    from rich import progress as rich
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda fraction, message: None
        return
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.TextColumn("{task.percentage:>3.0f} %"),
        rich.TimeElapsedColumn(),
    )
    with rich.Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(title, total=1.0)
        yield lambda fraction, message: bars.update(task, completed=fraction, description=f"{title}: {message}")


def set_up_logging(level: str) -> None:
    """Log to stderr: in journald's format if it reads stderr, else in a format for people."""
    handler = logging.StreamHandler(sys.stderr)
    for_people = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(JournalFormatter() if is_journal(sys.stderr) else for_people)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
