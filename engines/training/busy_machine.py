"""How long a training waited for cores that other programs used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# More of its time than this a training does not wait on a machine that is its own: a warning.
_MUCH_WAITING = 0.25


class CoreTime(NamedTuple):
    """What the scheduler counts for all threads of this process, seconds."""

    ran: float
    waited: float
    """Ready to run, while other threads had the cores."""

    @classmethod
    def now(cls, tasks: Path = Path("/proc/self/task")) -> CoreTime:
        """Since the process began; zero where the system counts nothing. Threads that have ended do not count."""
        counts = list(_counts(tasks))
        return cls(sum(ran for ran, _ in counts) / 1e9, sum(waited for _, waited in counts) / 1e9)

    def waiting_since(self, before: CoreTime) -> float:
        """Share of the time since then that was spent waiting for a core, 0 … 1."""
        ran, waited = max(0.0, self.ran - before.ran), max(0.0, self.waited - before.waited)
        return waited / (ran + waited) if ran + waited > 0 else 0.0


def warn_of_waiting(share: float, steps: int) -> tuple[str, ...]:
    """A line if a training waited for cores for this share of its time, 0 … 1.

    >>> warn_of_waiting(0.8, 126)
    ('other programs used the cores: training waited 80% of its time and made 126 steps, about 630 without them; train \
again when the machine is free, or for longer',)
    >>> warn_of_waiting(0.1, 3000)
    ()
    """
    if share <= _MUCH_WAITING:
        return ()
    free = round(steps / max(1.0 - share, 0.01))
    return (
        f"other programs used the cores: training waited {share:.0%} of its time and made {steps} steps, about {free} "
        "without them; train again when the machine is free, or for longer",
    )


def _counts(tasks: Path) -> Iterator[tuple[int, int]]:
    """Nanoseconds (on a core, waiting for one) of each thread: /proc/PID/task/TID/schedstat, Linux."""
    with suppress(OSError):
        for task in tasks.iterdir():
            with suppress(OSError, ValueError):
                ran, waited, _ = (task / "schedstat").read_text(encoding="ascii").split()
                yield int(ran), int(waited)
