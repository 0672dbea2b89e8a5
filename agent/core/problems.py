"""The current problems of the agent, one line for each subject."""

from __future__ import annotations

import threading


class Problems:
    """Collects problems by subject; a subject has one problem at a time. Any thread may call.

    >>> problems = Problems()
    >>> problems.set("disk", "full"); problems.set("clock", "not set"); problems.set("disk", None)
    >>> problems.all()
    ['not set']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[str, str] = {}

    def set(self, subject: str, text: str | None) -> None:
        """Report a problem of `subject`, or, with None, that it is over."""
        with self._lock:
            if text is None:
                self._texts.pop(subject, None)
            else:
                self._texts[subject] = text

    def all(self) -> list[str]:
        """Every problem, in the order in which the subjects were first reported."""
        with self._lock:
            return list(self._texts.values())
