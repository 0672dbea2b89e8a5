"""The thread that inspects: takes frames, has them judged, hands every outcome on; commands run between frames."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import Any, TypeVar

from agent.core.errors import Temporary
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.inspector import Inspector
from agent.inspection.outcome import Outcome

log = logging.getLogger(__name__)

T = TypeVar("T")

# How long a command waits for its turn between two frames at the most; one frame takes milliseconds.
CALL_TIMEOUT_SECONDS = 5.0

# How long the thread waits for a frame before it looks for commands again.
IDLE_SECONDS = 0.05


class InspectionThread(threading.Thread):
    """Runs an inspector until its intake is closed and empty. Stations belong to this thread: others use `call`."""

    def __init__(
        self, name: str, intake: FrameQueue, inspector: Inspector, on_outcome: Callable[[Outcome], None]
    ) -> None:
        """Args:
        name: for the thread and the log.
        intake: where the frames wait.
        inspector: scores and judges them.
        on_outcome: takes each outcome, on this thread; should return within a frame interval.
        """
        super().__init__(name=f"inspection-{name}", daemon=True)
        self._intake = intake
        self._inspector = inspector
        self._on_outcome = on_outcome
        self.rounds = 0
        """How often the thread looked for work: it stands still where the engine hangs."""
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def run(self) -> None:
        """Inspect until there is nothing left. A thread that dies takes no more frames, so that nobody waits for it."""
        try:
            while not self._intake.drained:
                self.rounds += 1
                self._run_calls()
                batch = self._intake.take(IDLE_SECONDS)
                if batch:
                    for outcome in self._inspector.inspect(batch):
                        self._on_outcome(outcome)
            self._run_calls()
        finally:
            self._intake.close()

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the inspection thread, between two frames; its result or its error is the caller's.

        Raises Temporary where the thread does not come round to it.
        """
        future: Future[T] = Future()
        self._calls.put((function, future))
        try:
            return future.result(CALL_TIMEOUT_SECONDS)
        except FutureTimeoutError:
            future.cancel()
            raise Temporary(f"inspection did not answer within {CALL_TIMEOUT_SECONDS:g} s; see the log") from None

    def _run_calls(self) -> None:
        with suppress(queue.Empty):
            while True:
                function, future = self._calls.get_nowait()
                if future.set_running_or_notify_cancel():
                    _resolve(future, function)


def _resolve(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except Exception as error:  # whoever called gets it; the thread goes on
        future.set_exception(error)
