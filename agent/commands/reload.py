"""The command `reload`: take over what has changed in the settings file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from agent.commands.command import Call
from agent.core.errors import Permanent

log = logging.getLogger(__name__)

HEADINGS = {
    "changed": "in force",
    "at_next_calibration": "in force from the next calibration on",
    "needs_restart": "needs a restart",
}


def reload(call: Call) -> dict[str, Any]:
    """Read the settings again and take over those that can change while the agent runs."""
    try:
        result = call.agent.reload().result()
    except Permanent as error:
        # A response holds one line; broken settings give one for each fault.
        raise Permanent("; ".join(str(error).splitlines())) from None
    document = result.model_dump(mode="json")
    log.info("settings read again: %s", "; ".join(reload_lines(document)))
    return document


def reload_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The result as lines for people, one for each time at which changes come into force.

    >>> list(reload_lines({"changed": ["log.level"], "at_next_calibration": [], "needs_restart": []}))
    ['in force: log.level']
    """
    lines = [f"{heading}: {', '.join(result[field])}" for field, heading in HEADINGS.items() if result[field]]
    yield from lines or ["nothing has changed"]
