"""The beginning of a process beside the agent: its options, its log, its exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from agent.core.errors import InspectdError
from agent.core.logs.journal import JournalFormatter, OneLineFormatter, is_journal
from agent.page.options import VARIABLE, ProcessOptions

_Options = TypeVar("_Options", bound=ProcessOptions)


def start(read: Callable[[str], _Options], serve: Callable[[_Options], None]) -> int:
    """Read the options, JSON, from the environment, and serve until SIGTERM; returns the exit code."""
    options = read(os.environ.pop(VARIABLE))
    _set_up_logging(options.log_level)
    try:
        serve(options)
    except InspectdError as error:
        sys.stderr.write(f"inspectd: {error}\n")
        return 1
    return 0


def _set_up_logging(level: str) -> None:
    for_people = OneLineFormatter("%(asctime)s %(levelname)-7s %(message)s")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JournalFormatter() if is_journal(sys.stderr) else for_people)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.WARNING)
