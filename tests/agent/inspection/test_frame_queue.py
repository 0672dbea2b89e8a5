"""Live cameras keep the newest frame and count the rest; files and folders lose nothing."""

from __future__ import annotations

import threading

from agent.inspection.frame_queue import FrameQueue
from tests.support.frames import prepared


def indices(intake: FrameQueue) -> list[int]:
    return [taken.frame.index for taken in intake.take(1.0)]


def test_live_camera_keeps_the_newest_frame() -> None:
    intake = FrameQueue()
    intake.add_camera("line1", live=True)
    for i in range(5):
        assert intake.put(prepared(i))
    assert indices(intake) == [4]
    assert intake.dropped("line1") == 4


def test_folder_waits_for_a_place_and_loses_nothing() -> None:
    intake = FrameQueue(depth=2)
    intake.add_camera("line1", live=False)
    producer = threading.Thread(target=lambda: [intake.put(prepared(i)) for i in range(50)])
    producer.start()
    taken = [index for _ in range(50) for index in indices(intake)]
    producer.join()
    assert taken == list(range(50))
    assert intake.dropped("line1") == 0


def test_take_gives_one_frame_of_each_camera() -> None:
    intake = FrameQueue()
    for camera in ("a", "b", "c"):
        intake.add_camera(camera, live=False)
    for camera in ("a", "a", "c"):
        intake.put(prepared(1, camera))
    assert [taken.frame.camera for taken in intake.take(1.0)] == ["a", "c"]
    assert [taken.frame.camera for taken in intake.take(1.0)] == ["a"]


def test_take_after_the_timeout_is_empty() -> None:
    intake = FrameQueue()
    intake.add_camera("line1", live=True)
    assert intake.take(0.01) == []


def test_close_frees_a_waiting_producer_and_keeps_what_waits() -> None:
    intake = FrameQueue(depth=1)
    intake.add_camera("line1", live=False)
    intake.put(prepared(0))
    answers: list[bool] = []
    producer = threading.Thread(target=lambda: answers.append(intake.put(prepared(1))))
    producer.start()
    intake.close()
    producer.join(5.0)
    assert answers == [False]
    assert not intake.drained
    assert indices(intake) == [0]
    assert intake.drained
