"""Which frames become one part: by number, by gap, by trigger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.errors import Temporary
from agent.core.records import NotJudged
from agent.parts.grouping import ByCount, ByGap, SingleFrames
from agent.parts.shot import Group, Shot
from agent.parts.triggers import ByTrigger
from tests.support.frames import INTERVAL_SECONDS, START, frame


def shot(index: int, score: float = 1.0, reason: NotJudged | None = None, origin: str | None = None) -> Shot[None]:
    return Shot(replace(frame(index), origin=origin), score, reason, reason is None, None)


def seconds(index: int) -> float:
    """Monotonic time of a frame."""
    return frame(index).captured_monotonic


def indices(groups: list[Group[None]]) -> list[tuple[int | None, int]]:
    """First frame and number of judged frames of each part."""
    return [(None if group.first is None else group.first.index, group.frames) for group in groups]


def test_single_frames_are_no_parts() -> None:
    (group,) = SingleFrames[None]().add(shot(3, 2.0))
    assert (group.part, group.frames) == (None, 1)


def test_part_by_count_has_the_highest_score_of_its_frames() -> None:
    grouping = ByCount[None](3)
    ended = [grouping.add(shot(index, score)) for index, score in enumerate([1.0, 5.0, 2.0, 1.0])]
    assert [len(groups) for groups in ended] == [0, 0, 1, 0]
    (part,) = ended[2]
    assert part.judged is not None
    assert (part.judged.score, part.judged.frame.index, part.frames) == (5.0, 1, 3)
    assert part.part == "2026-03-01T12:00:00.000Z", "the time of its first frame"
    assert indices(grouping.finish()) == [(3, 1)]


def test_frames_that_were_dropped_do_not_move_the_parts_that_follow() -> None:
    grouping = ByCount[None](4)
    groups = [group for index in (0, 1, 6, 7, 8, 13) for group in grouping.add(shot(index))]
    assert indices(groups) == [(0, 2), (6, 2), (8, 1)]


def test_part_whose_frames_were_all_dropped_is_late() -> None:
    grouping = ByCount[None](2)
    groups = [group for index in (0, 1, 6, 7) for group in grouping.add(shot(index))]
    assert [(group.index, group.reason, group.frames) for group in groups] == [
        (0, None, 2),
        (2, NotJudged.LATE, 0),
        (4, NotJudged.LATE, 0),
        (6, None, 2),
    ]
    assert len({group.part for group in groups}) == 4
    assert [group.captured_at for group in groups] == sorted(group.captured_at for group in groups)
    assert groups[1].captured_at == frame(2).captured_at
    grouping.finish()
    assert indices(grouping.add(shot(21))) == [(21, 1)], "no part is missed while another product is inspected"


def test_image_of_a_folder_is_a_part_with_the_name_of_its_file() -> None:
    (part,) = ByCount[None](1).add(shot(0, origin="good/SN17.png"))
    assert part.part == "good/SN17.png"


def test_part_without_a_frame_that_may_be_judged_has_the_reason() -> None:
    grouping = ByCount[None](2)
    grouping.add(shot(0, reason=NotJudged.BLIND))
    (blind,) = grouping.add(shot(1, reason=NotJudged.BLIND))
    assert (blind.judged, blind.reason, blind.frames) == (None, NotJudged.BLIND, 0)
    grouping.add(shot(2, reason=NotJudged.BLIND))
    (half,) = grouping.add(shot(3))
    assert (half.reason, half.frames) == (None, 1)


def test_gap_ends_a_part_with_the_next_frame_or_with_time() -> None:
    grouping = ByGap[None](gap_seconds=4 * INTERVAL_SECONDS)
    assert [grouping.add(shot(index)) for index in (0, 1, 2)] == [[], [], []]
    assert grouping.tick(seconds(4)) == []
    assert indices(grouping.add(shot(8))) == [(0, 3)]
    assert indices(grouping.tick(seconds(12))) == [(8, 1)]
    assert grouping.tick(seconds(99)) == []


def triggered(frames_per_part: int = 1, max_waiting: int = 3) -> ByTrigger[None]:
    return ByTrigger(frames_per_part=frames_per_part, timeout_seconds=1.0, max_waiting=max_waiting)


def test_trigger_takes_the_next_frames_and_no_earlier_or_later_one() -> None:
    grouping = triggered(frames_per_part=2)
    assert grouping.add(shot(0)) == []
    assert grouping.trigger("SN1", START, seconds(1) - 0.01) == 0
    assert grouping.trigger("SN2", START, seconds(1) + 0.01) == 1
    assert grouping.add(shot(0)) == [], "captured before the trigger, and only taken out of the queue now"
    ended = [group for index in range(1, 8) for group in grouping.add(shot(index))]
    assert [(group.part, *indices([group])[0]) for group in ended] == [("SN1", 1, 2), ("SN2", 3, 2)]
    assert ended[0].started_monotonic == seconds(1) - 0.01, "latency counts from the trigger"


def test_trigger_without_a_frame_in_time_is_late() -> None:
    grouping = triggered(frames_per_part=3)
    grouping.trigger("SN1", START, seconds(0))
    grouping.add(shot(0))
    assert grouping.tick(seconds(0) + 0.99) == []
    (late,) = grouping.tick(seconds(0) + 1.0)
    assert (late.part, late.judged, late.reason) == ("SN1", None, NotJudged.LATE)
    assert grouping.waiting == 0


def test_late_trigger_does_not_take_the_frame_of_the_next_one() -> None:
    grouping = triggered()
    grouping.trigger("SN1", START, seconds(0))
    grouping.trigger("SN2", START, seconds(30))
    late, seen = grouping.add(shot(31))
    assert (late.part, late.reason) == ("SN1", NotJudged.LATE)
    assert (seen.part, seen.frames) == ("SN2", 1)


def test_triggers_beyond_the_limit_are_rejected_and_the_others_kept() -> None:
    grouping = triggered(max_waiting=2)
    for part in ("SN1", "SN2"):
        grouping.trigger(part, START, seconds(0))
    with pytest.raises(Temporary, match="2 triggers wait"):
        grouping.trigger("SN3", START, seconds(0))
    stopped = grouping.finish()
    assert [(group.part, group.reason) for group in stopped] == [
        ("SN1", NotJudged.STOPPED),
        ("SN2", NotJudged.STOPPED),
    ]


def answer(index: int, trigger: float) -> Shot[None]:
    """A frame that the agent has triggered."""
    made = shot(index)
    return replace(made, frame=replace(made.frame, triggered_monotonic=trigger))


def after_lost(index: int, lost: int) -> Shot[None]:
    """A frame of a triggered camera, before which some were lost."""
    made = shot(index)
    return replace(made, frame=replace(made.frame, lost_before=lost))


def parts_of(groups: list[Group[None]]) -> list[tuple[str | None, NotJudged | None]]:
    return [(group.part, group.reason) for group in groups]


def test_frame_goes_to_the_trigger_that_it_answers_although_an_earlier_one_waits() -> None:
    """The frame of A was lost: B keeps its own, and A has no result to wait for."""
    grouping = triggered()
    grouping.trigger("A", START, seconds(1))
    grouping.trigger("B", START, seconds(2))
    assert parts_of(grouping.add(answer(3, seconds(2)))) == [("A", NotJudged.LATE), ("B", None)]
    assert grouping.waiting == 0


def test_frame_of_a_trigger_that_was_given_up_goes_to_no_part() -> None:
    grouping = triggered()
    grouping.trigger("B", START, seconds(2))
    assert grouping.add(answer(3, seconds(1))) == []
    assert parts_of(grouping.add(answer(4, seconds(2)))) == [("B", None)]


def test_burst_takes_the_frames_of_its_trigger_only() -> None:
    grouping = triggered(frames_per_part=2)
    grouping.trigger("A", START, seconds(1))
    grouping.trigger("B", START, seconds(2))
    answers = [seconds(1), seconds(2), seconds(2)]
    groups = [group for index, at in enumerate(answers, 3) for group in grouping.add(answer(index, at))]
    assert parts_of(groups) == [("A", NotJudged.LATE), ("B", None)], "half of a burst is no part"


def test_frames_that_a_triggered_camera_lost_are_those_of_the_first_parts() -> None:
    grouping = triggered(max_waiting=5)
    for index, part in enumerate("ABC"):
        grouping.trigger(part, START, seconds(index))
    late = [("A", NotJudged.LATE), ("B", NotJudged.LATE)]
    assert parts_of(grouping.add(after_lost(4, 2))) == [*late, ("C", None)]


def test_lost_frames_are_not_counted_for_parts_that_came_later() -> None:
    grouping = triggered()
    grouping.trigger("A", START, seconds(5))
    assert parts_of(grouping.add(after_lost(4, 3))) == []
    assert parts_of(grouping.add(shot(6))) == [("A", None)]


def test_burst_that_lost_a_frame_is_judged_by_the_others() -> None:
    grouping = triggered(frames_per_part=2, max_waiting=5)
    grouping.trigger("A", START, seconds(1))
    grouping.trigger("B", START, seconds(1))
    assert parts_of(grouping.add(shot(2))) == []
    groups = [*grouping.add(after_lost(4, 1)), *grouping.add(shot(5))]
    assert [(group.part, group.frames) for group in groups] == [("A", 1), ("B", 2)]
