"""The inspection thread of one engine: frames from the queue are scored and judged; commands run between frames."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import Any, TypeVar

from agent.core.errors import Temporary
from agent.core.records import Part
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.inspector import Inspector
from agent.inspection.outcome import Outcome

log = logging.getLogger(__name__)

T = TypeVar("T")

# How long a command waits for its turn between two frames; a frame takes milliseconds.
CALL_TIMEOUT_SECONDS = 5.0

# How long the thread waits for a frame before it checks for commands again.
IDLE_SECONDS = 0.05

# How often a change of the product looks whether the frames before it are judged.
POLL_SECONDS = 0.001


class InspectionThread(threading.Thread):
    """Runs an inspector until its frame queue is closed and empty.

    Stations belong to this thread: other threads change them by `call` only.
    """

    def __init__(
        self,
        name: str,
        frame_queue: FrameQueue,
        inspector: Inspector,
        on_outcome: Callable[[Outcome], None],
        on_ended: Callable[[Outcome | Part], None] = lambda ended: None,
    ) -> None:
        """Args:
        name: for the thread and the log.
        frame_queue: the frames to inspect.
        inspector: scores and judges them.
        on_outcome: called on this thread with each outcome; should return within a frame interval.
        on_ended: the same for each part that ended without a new frame.
        """
        super().__init__(name=f"inspection-{name}", daemon=True)
        self._frame_queue = frame_queue
        self._inspector = inspector
        self._on_outcome = on_outcome
        self._on_ended = on_ended
        self.rounds = 0
        """How often the thread has looked for work; does not grow while the engine hangs."""
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def run(self) -> None:
        """Inspect until the queue is closed and empty. An error closes the queue too, so that capture does not wait."""
        try:
            while not self._frame_queue.drained:
                self.rounds += 1
                self._run_calls()
                batch = self._frame_queue.take(IDLE_SECONDS)
                # What arrived while this thread waited, such as the trigger for the frame that it waited for.
                self._run_calls()
                for ended in self._inspector.tick(time.monotonic(), {each.frame.camera for each in batch}):
                    self._on_ended(ended)
                if batch:
                    for outcome in self._inspector.inspect(batch):
                        self._on_outcome(outcome)
            self._run_calls()
            for ended in self._inspector.finish():
                self._on_ended(ended)
        finally:
            self._frame_queue.close()

    def await_judged(self, camera: str, timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> None:
        """Wait until no frame of this camera waits or is being judged; meanwhile none may be added to the queue.

        Raises Temporary where that has not happened within the timeout.
        """
        deadline = time.monotonic() + timeout_seconds
        while self._frame_queue.holds(camera):
            self._sleep_until(deadline)
        # What was taken from the queue before this round began is judged once the next one begins.
        rounds = self.rounds
        while self.rounds == rounds and self.is_alive():
            self._sleep_until(deadline)

    @staticmethod
    def _sleep_until(deadline: float) -> None:
        if time.monotonic() >= deadline:
            raise Temporary("inspection did not finish the waiting frames; see the log")
        time.sleep(POLL_SECONDS)

    def call(self, function: Callable[[], T], timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> T:
        """Run a function on the inspection thread, between two frames, and return its result or raise its error.

        Raises Temporary where it has not finished within the timeout.
        """
        future: Future[T] = Future()
        self._calls.put((function, future))
        try:
            return future.result(timeout_seconds)
        except FutureTimeoutError:
            future.cancel()
            raise Temporary(f"inspection did not respond within {timeout_seconds:g} s; see the log") from None

    def _run_calls(self) -> None:
        with suppress(queue.Empty):
            while True:
                function, future = self._calls.get_nowait()
                if future.set_running_or_notify_cancel():
                    _resolve(future, function)


def _resolve(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except Exception as error:  # raised in the caller; the thread continues
        future.set_exception(error)
