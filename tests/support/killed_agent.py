"""The delivering part of an agent that kills itself:
`python -m tests.support.killed_agent URL DIRECTORY STEP COUNT ALARMS`.

It sends itself SIGKILL when it reaches STEP for the COUNT-th time; with `never` it delivers everything and ends. The
sequence number of each accepted alarm is appended to the file `accepted`, before anything else happens.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.core.records import AlarmEvent
from agent.outputs.mqtt.delivery.session import Session
from agent.outputs.outbox import Outbox, image_files
from agent.outputs.outbox.transaction import Transaction
from tests.support.delivery import accept, delivering, noise_png

STEPS = (
    "before accept",
    "images written",
    "images synced",
    "after commit",
    "after accept",
    "before publish",
    "after publish",
    "after puback",
    "after delete",
)


def kill_at(step: str, count: int) -> Callable[[str], None]:
    """A function to call at every step; it kills the process at the given one."""
    left = [count]

    def reached(name: str) -> None:
        if name == step:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached


def wrap(owner: Any, name: str, before: Callable[[], None], after: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        before()
        result = original(*args, **options)
        after()
        return result

    setattr(owner, name, wrapped)


def main(url: str, directory: Path, step: str, count: int, alarms: int) -> None:
    reached = kill_at(step, count)
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    wrap(Session, "_send", lambda: reached("before publish"), lambda: reached("after publish"))
    wrap(Session, "acknowledged", nothing, lambda: reached("after puback"))
    wrap(image_files, "_write_all", nothing, lambda: reached("images written"))
    wrap(image_files.ImageFiles, "sync", nothing, lambda: reached("images synced"))
    wrap(Transaction, "committed", lambda: reached("after commit"), nothing)
    wrap(Outbox, "acknowledge", nothing, lambda: reached("after delete"))
    with delivering(url, directory) as (outbox, publisher), (directory / "accepted").open("ab", buffering=0) as log:
        first = outbox.counts().sequence
        for number in range(first, first + alarms):
            reached("before accept")
            event = AlarmEvent.RAISED if number % 2 == 0 else AlarmEvent.CLEARED
            sequence = accept(
                outbox, f"alarm-{number // 2}", f"cam{number // 2 % 2}", event, {"heatmap": noise_png(12)}
            )
            reached("after accept")
            log.write(f"{sequence}\n".encode())
        if step == "never" and not publisher.wait_until_delivered(30):
            raise SystemExit("not delivered in 30 s")
        publisher.wait_until_delivered(5)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
