"""Progress of a long task on stderr: a bar on a terminal, otherwise a line now and then, for logs and pipes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.core.progress import Progress

# A task that is shorter than this needs no line.
FIRST_LINE_SECONDS = 1.0

# An hour of training fills 360 lines of a log with this.
BETWEEN_LINES_SECONDS = 10.0


class ProgressLines:
    """Takes progress as often as it is reported, and writes a line of it now and then."""

    def __init__(self, title: str, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        """Args:
        title: the task, in front of each line.
        write: takes each line, with its end.
        clock: seconds, monotonic.
        """
        self._title = title
        self._write = write
        self._clock = clock
        self._next = clock() + FIRST_LINE_SECONDS

    def __call__(self, fraction: float, message: str) -> None:
        """Report progress: the fraction done, 0 to 1, and the current step in a few words."""
        now = self._clock()
        if now >= self._next:
            self._next = now + BETWEEN_LINES_SECONDS
            self._write(f"{self._title}: {fraction * 100.0:.0f} %, {message}\n")


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Show progress on stderr: as a bar if it is a terminal, else in lines."""
    if not sys.stderr.isatty():
        yield ProgressLines(title, _write_line)
        return
    # Importing rich takes a tenth of a second, which a restarting agent does not need to spend.
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.TextColumn("{task.percentage:>3.0f} %"),
        rich.TimeElapsedColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=1.0)
        yield lambda fraction, message: bars.update(task, completed=fraction, description=f"{title}: {message}")


def _write_line(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()
