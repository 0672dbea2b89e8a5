"""What a person sees on the terminal: lines, progress bars, one clear line for every mistake."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.cli.journal import JournalFormatter, is_journal, priority_of
from agent.core.progress import Progress

log = logging.getLogger("inspectd")


def say(text: str = "") -> None:
    """A line on standard output, as it is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(document: Any) -> None:
    """A JSON document on one line of standard output."""
    say(json.dumps(document, separators=(", ", ": "), allow_nan=False))


def complain(text: str) -> None:
    """A line on standard error for each line of the text."""
    priority = f"<{priority_of(logging.ERROR)}>" if is_journal(sys.stderr) else ""
    for line in text.splitlines() or ["failed"]:
        sys.stderr.write(f"{priority}inspectd: {line}\n")


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A bar on standard error while it is a terminal; silent otherwise."""
    # A tenth of a second, which an agent that is started again after a mishap does without.
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
    """To standard error: for journald where it reads it, else in a person's format."""
    handler = logging.StreamHandler(sys.stderr)
    people = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(JournalFormatter() if is_journal(sys.stderr) else people)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
