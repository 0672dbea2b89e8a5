"""The inspection thread: every frame is inspected, and calls run between frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from agent.core.errors import InspectdError, Temporary
from agent.inspection.frame_queue import FrameQueue, PreparedFrame
from agent.inspection.inspector import Inspector
from agent.inspection.outcome import Outcome
from agent.inspection.station import Station
from agent.inspection.thread import InspectionThread
from engines.runtime.engine import Engine

Captured = Callable[..., PreparedFrame]


@pytest.fixture
def frame_queue() -> FrameQueue:
    made = FrameQueue()
    made.add_camera("line1", newest_only=False)
    return made


@pytest.fixture
def station(station_of: Callable[[str], Station]) -> Station:
    return station_of("line1")


@pytest.fixture
def start(
    engine: Engine, station: Station, frame_queue: FrameQueue
) -> Iterator[Callable[[Callable[[Outcome], None]], InspectionThread]]:
    """Starts the thread with a function that takes the outcomes."""
    threads: list[InspectionThread] = []

    def started(on_outcome: Callable[[Outcome], None]) -> InspectionThread:
        threads.append(InspectionThread("test", frame_queue, Inspector(engine, {"line1": station}), on_outcome))
        threads[-1].start()
        return threads[-1]

    yield started
    frame_queue.close()
    for thread in threads:
        thread.join(60)


Start = Callable[[Callable[[Outcome], None]], InspectionThread]


def test_every_frame_is_inspected_before_the_thread_ends(
    start: Start, frame_queue: FrameQueue, captured: Captured
) -> None:
    outcomes: list[Outcome] = []
    thread = start(outcomes.append)
    for index in range(10):
        assert frame_queue.put(captured(index))
    frame_queue.close()
    thread.join(60)
    assert not thread.is_alive()
    assert [outcome.frame.index for outcome in outcomes] == list(range(10))


def test_a_call_runs_on_the_thread_and_returns_its_result(start: Start, station: Station) -> None:
    thread = start(lambda outcome: None)
    assert thread.call(lambda: (threading.current_thread(), station.phase)) == (thread, station.phase)


def test_the_error_of_a_call_is_raised_in_the_caller_and_the_thread_goes_on(start: Start, station: Station) -> None:
    thread = start(lambda outcome: None)
    with pytest.raises(InspectdError, match="no recalibration to cancel"):
        thread.call(station.cancel)
    assert thread.call(lambda: 7) == 7


def test_a_call_that_does_not_get_its_turn_in_time_is_given_up(start: Start) -> None:
    thread, release = start(lambda outcome: None), threading.Event()
    busy = threading.Thread(target=thread.call, args=(lambda: release.wait(30.0),))
    busy.start()
    ran: list[int] = []
    with pytest.raises(Temporary, match=r"inspection did not respond within 0\.05 s"):
        thread.call(lambda: ran.append(1), timeout_seconds=0.05)
    release.set()
    busy.join(60)
    assert thread.call(lambda: 7) == 7
    assert ran == [], "it does not run later either"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_ends_the_thread_and_frees_the_capture_thread(
    start: Start, frame_queue: FrameQueue, captured: Captured
) -> None:
    def fail(outcome: Outcome) -> None:
        raise RuntimeError("a bug")

    thread = start(fail)
    assert frame_queue.put(captured(0))
    thread.join(60)
    assert not thread.is_alive()
    assert not frame_queue.put(captured(1)), "closed: nothing waits for space"


def test_a_call_that_arrives_while_the_thread_waits_runs_before_the_next_frame(
    start: Start, frame_queue: FrameQueue, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger is such a call: after its frame, that frame would be lost, and the part be judged by the next one."""
    monkeypatch.setattr("agent.inspection.thread.IDLE_SECONDS", 5.0)
    order: list[str] = []
    waiting, first, done = threading.Event(), threading.Event(), threading.Event()
    monkeypatch.setattr(frame_queue, "take", _announced(frame_queue.take, waiting))

    def judged(outcome: Outcome) -> None:
        order.append(f"frame {outcome.frame.index}")
        waiting.clear()
        (first if outcome.frame.index == 0 else done).set()

    thread = start(judged)
    assert frame_queue.put(captured(0))
    assert first.wait(60)
    assert waiting.wait(60)
    caller = threading.Thread(target=thread.call, args=(lambda: order.append("trigger"),))
    caller.start()
    while thread._calls.empty():
        assert caller.is_alive()
    assert frame_queue.put(captured(1))
    assert done.wait(60)
    caller.join(60)
    assert order == ["frame 0", "trigger", "frame 1"]


def _announced(take: Callable[[float], list[PreparedFrame]], waiting: threading.Event) -> Callable[..., object]:
    def announced(timeout_seconds: float) -> list[PreparedFrame]:
        waiting.set()
        return take(timeout_seconds)

    return announced
