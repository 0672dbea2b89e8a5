"""An agent that kills itself while it inspects a folder: `python -m tests.support.killed_inbox SETTINGS STEP COUNT`.

It sends itself SIGKILL when it reaches STEP for the COUNT-th time; with `never` it runs until it is stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from agent.outputs.outbox import Outbox
from agent.service import Service
from agent.service.dispatcher import Dispatcher
from agent.settings import load_settings
from agent.sources import Ledger
from agent.sources.folder import FolderSource, source
from agent.sources.folder.quarantine import Quarantine
from tests.support.killed_agent import kill_at, wrap

STEPS = (
    "while reading",
    "after read",
    "before dispatch",
    "after dispatch",
    "before commit",
    "after commit",
    "before ledger",
    "after ledger",
    "before quarantine",
    "after quarantine",
)


def main(settings: Path, step: str, count: int) -> None:
    reached = kill_at(step, count)
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    wrap(source, "read_image", lambda: reached("while reading"), nothing)
    wrap(FolderSource, "_load", nothing, lambda: reached("after read"))
    for owner, name, what in (
        (Dispatcher, "dispatch", "dispatch"),
        (Outbox, "accept_together", "commit"),
        (Ledger, "add", "ledger"),
        (Quarantine, "add", "quarantine"),
    ):
        wrap(owner, name, lambda what=what: reached(f"before {what}"), lambda what=what: reached(f"after {what}"))
    Service(load_settings(settings)).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
