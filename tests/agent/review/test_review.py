"""The review thread: it never holds up inspection, and a full disk costs no alarm in the list."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import Temporary
from agent.core.problems import Problems
from agent.core.records import Alarm, AlarmEvent, AlarmKind, Frame, Verdict
from agent.review import AlarmBasis, Judged, JudgedAlarm, Review, ReviewFolders
from agent.review import review as review_module
from tests.support.broker import wait_until
from tests.support.judged import AT, calibration_for, gray


def open_review(tmp_path: Path, problems: Problems, *, samples: int = 4, published: list[JudgedAlarm]) -> Review:
    return Review(
        ReviewFolders.of(tmp_path),
        ["line1"],
        samples_per_shift=samples,
        max_image_bytes=10**6,
        problems=problems,
        on_judged=published.append,
    )


def raise_alarm(review: Review, identity: str) -> None:
    frame = Frame("line1", 7, AT, time.monotonic(), gray(9))
    verdict = Verdict(frame, 3.0, 3.0, 2.0, np.zeros((4, 4), np.float32))
    calibration = calibration_for()
    review.judged("line1", calibration, verdict, alarmed=True)
    alarm = Alarm(identity, AlarmEvent.RAISED, AlarmKind.DEFECT, "line1", AT, 7, 3.0, 2.0)
    review.alarm(alarm, AlarmBasis(calibration, "b" * 64, "onnxruntime", None), verdict, None)


def test_alarm_is_listed_once_the_disk_has_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_module, "RETRY_SECONDS", 0.01)
    problems, published = Problems(), []
    review = open_review(tmp_path, problems, published=published)
    monkeypatch.setattr(review.journal, "add", _failing_twice(review.journal.add, problems))
    review.start()
    raise_alarm(review, "a1")
    wait_until(lambda: review.journal.counts()["alarms"] == 1, what="the alarm")
    wait_until(lambda: problems.all() == [])
    assert review.finish(20)
    review.close()


def _failing_twice(add, problems):  # type: ignore[no-untyped-def]
    left = [2]

    def failing(alarm) -> None:  # type: ignore[no-untyped-def]
        if left[0]:
            left[0] -= 1
            raise Temporary("database or disk is full")
        assert problems.all() == ["alarms are not listed: database or disk is full"]
        add(alarm)

    return failing


def test_images_that_cannot_be_written_cost_only_themselves(tmp_path: Path) -> None:
    problems, published = Problems(), []
    review = open_review(tmp_path, problems, published=published)
    review.folders.images.parent.mkdir(parents=True, exist_ok=True)
    review.folders.images.write_text("a file where the folder should be")
    review.start()
    raise_alarm(review, "a1")
    wait_until(lambda: problems.all(), what="the problem")
    assert problems.all()[0].startswith("images for training are not kept")
    assert review.journal.find("a1").alarm.peak == 3.0
    assert review.finish(20)
    review.close()


def test_judgement_of_before_a_crash_is_published_after_the_next_start(tmp_path: Path) -> None:
    problems, published = Problems(), []
    review = open_review(tmp_path, problems, published=published)
    review.start()
    raise_alarm(review, "a1")
    wait_until(lambda: review.journal.counts()["alarms"] == 1, what="the alarm")
    assert review.finish(20)
    review.judge("a1", Judged.FALSE, by="Anna")
    review.close()
    assert published == [], "the thread had ended"
    again = open_review(tmp_path, problems, published=published)
    again.start()
    wait_until(lambda: published, what="the judgement")
    assert again.finish(20)
    again.close()
    assert [(known.alarm.id, known.verdict) for known in published] == [("a1", Judged.FALSE)]


def test_frames_held_back_without_their_pixels_are_no_samples(tmp_path: Path) -> None:
    """A part that was held back while the camera was suspect is judged by a frame without pixels."""
    problems, published = Problems(), []
    review = open_review(tmp_path, problems, published=published)
    review.start()
    for index, image in enumerate([gray(9)[:0], gray(9)]):
        verdict = Verdict(Frame("line1", index, AT, 0.0, image), 1.0, 1.0, 2.0, np.zeros((4, 4), np.float32))
        review.judged("line1", calibration_for(), verdict, alarmed=False)
    assert review.finish(20)
    assert not review.is_alive()
    assert len(list(review.folders.images.rglob("*.png"))) == 1
    assert problems.all() == []
    review.close()
