"""Ctrl-C while the program loads: the process ends at once, without a traceback.

An exception is unreliable there: extension modules turn it into an ImportError, and if it is raised in a callback of
the import system, it is printed as "Exception ignored in" and lost. Nothing has begun yet, so nothing has to be undone.

The launcher (`packaging/inspectd`) blocks SIGINT: until this is in place, it waits.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# As a shell counts it: 128 and the number of the signal.
INTERRUPTED = 130


def _end_at_once(*_: object) -> None:
    os._exit(INTERRUPTED)


@contextmanager
def quiet_while_loading() -> Iterator[None]:
    """Within this context, SIGINT ends the process with exit code 130, also one that the launcher has held back.

    Where it is ignored, it stays ignored.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield
        return
    signal.signal(signal.SIGINT, _end_at_once)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        raise_on_interrupt()


def raise_on_interrupt() -> None:
    """SIGINT raises KeyboardInterrupt again, so that what has begun is undone; called when a command begins."""
    if signal.getsignal(signal.SIGINT) is _end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is an interrupt, or was raised because of one.

    >>> is_interrupt(KeyboardInterrupt()), is_interrupt(ImportError("numpy"))
    (True, False)
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
