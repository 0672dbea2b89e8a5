"""Of live cameras only the newest frame is kept and dropped ones are counted; files and folders lose no frame."""

from __future__ import annotations

import threading

from agent.inspection.frame_queue import FrameQueue
from tests.support.frames import prepared


def indices(frame_queue: FrameQueue) -> list[int]:
    return [taken.frame.index for taken in frame_queue.take(1.0)]


def test_live_camera_keeps_the_newest_frame() -> None:
    frame_queue = FrameQueue()
    frame_queue.add_camera("line1", newest_only=True)
    for i in range(5):
        assert frame_queue.put(prepared(i))
    assert indices(frame_queue) == [4]
    assert frame_queue.dropped("line1") == 4


def test_folder_waits_for_space_and_loses_no_frame() -> None:
    frame_queue = FrameQueue(depth=2)
    frame_queue.add_camera("line1", newest_only=False)
    producer = threading.Thread(target=lambda: [frame_queue.put(prepared(i)) for i in range(50)])
    producer.start()
    taken = [index for _ in range(50) for index in indices(frame_queue)]
    producer.join()
    assert taken == list(range(50))
    assert frame_queue.dropped("line1") == 0


def test_take_returns_the_oldest_frame_of_each_camera() -> None:
    frame_queue = FrameQueue()
    for camera in ("a", "b", "c"):
        frame_queue.add_camera(camera, newest_only=False)
    for camera in ("a", "a", "c"):
        frame_queue.put(prepared(1, camera))
    assert [taken.frame.camera for taken in frame_queue.take(1.0)] == ["a", "c"]
    assert [taken.frame.camera for taken in frame_queue.take(1.0)] == ["a"]


def test_take_returns_nothing_after_the_timeout() -> None:
    frame_queue = FrameQueue()
    frame_queue.add_camera("line1", newest_only=True)
    assert frame_queue.take(0.01) == []


def test_close_ends_the_wait_for_space_and_keeps_waiting_frames() -> None:
    frame_queue = FrameQueue(depth=1)
    frame_queue.add_camera("line1", newest_only=False)
    frame_queue.put(prepared(0))
    answers: list[bool] = []
    producer = threading.Thread(target=lambda: answers.append(frame_queue.put(prepared(1))))
    producer.start()
    frame_queue.close()
    producer.join(60)
    assert answers == [False]
    assert not frame_queue.drained
    assert indices(frame_queue) == [0]
    assert frame_queue.drained
