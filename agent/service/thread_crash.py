"""The error that ended a thread: logged, and reported when the agent has shut down."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from agent.core.errors import Permanent
from agent.core.expected import error_text, is_expected

log = logging.getLogger(__name__)


class ThreadCrash:
    """Stops the agent when one of its threads fails, so that systemd starts a complete one again."""

    def __init__(self, stop: Callable[[], None]) -> None:
        """`stop` is called on the failed thread; it must return at once."""
        self._stop = stop
        self._text: str | None = None

    def watch(self) -> None:
        """Watch all threads of this process from now on."""
        threading.excepthook = self._take

    def raise_if_any(self) -> None:
        """Raise Permanent with the text of the latest failure."""
        if self._text is not None:
            raise Permanent(self._text)

    def _take(self, crash: threading.ExceptHookArgs) -> None:
        error = crash.exc_value or crash.exc_type()
        self._text = f"{crash.thread.name if crash.thread else 'a thread'}: {error_text(error)}"
        log.critical("%s", self._text, exc_info=None if is_expected(error) else error)
        self._stop()
