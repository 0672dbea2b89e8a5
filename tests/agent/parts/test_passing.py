"""Parts that pass under a camera: where one begins and ends, and which of its frames count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agent.core.records import Code, NotJudged
from agent.parts import ByPresence, Group, Shot
from tests.support.frames import frame


def passing(min_frames: int = 2, max_frames: int = 20) -> ByPresence[None]:
    return ByPresence(enter=0.10, leave=0.05, min_frames=min_frames, max_frames=max_frames)


def shot(index: int, area: float, score: float = 1.0, reason: NotJudged | None = None) -> Shot[None]:
    return Shot(replace(frame(index), presence=area), score, reason, reason is None, None)


def feed(grouping: ByPresence[None], areas: Sequence[float], first: int = 0) -> list[Group[None]]:
    return [group for place, area in enumerate(areas) for group in grouping.add(shot(first + place, area))]


def firsts(groups: list[Group[None]]) -> list[tuple[int | None, int]]:
    """First frame and number of counted frames of each part."""
    return [(group.index, group.frames) for group in groups]


def test_part_ends_when_it_has_left() -> None:
    grouping = passing()
    assert feed(grouping, [0.0, 0.0, 0.6, 0.6, 0.6]) == []
    assert not grouping.between_parts
    assert feed(grouping, [0.0], first=5) == []
    assert firsts(feed(grouping, [0.0], first=6)) == [(2, 3)]
    assert grouping.between_parts


def test_what_lies_between_the_two_shares_neither_begins_nor_ends_a_part() -> None:
    grouping = passing()
    assert feed(grouping, [0.08, 0.08, 0.08]) == []
    assert grouping.between_parts
    assert feed(grouping, [0.5, 0.5, 0.07, 0.07, 0.07, 0.5], first=3) == []
    assert firsts(feed(grouping, [0.0, 0.0], first=9)) == [(3, 3)], "one part, of which three frames show all of it"


def test_single_frames_are_no_part_and_no_gap() -> None:
    grouping = passing()
    assert feed(grouping, [0.5, 0.0, 0.5, 0.0]) == []
    assert firsts(feed(grouping, [0.5, 0.5, 0.0, 0.5, 0.0, 0.0], first=4)) == [(4, 3)]


def test_frames_in_which_a_part_enters_or_leaves_do_not_count() -> None:
    grouping = passing()
    scores = [9.0, 9.0, 1.0, 2.0, 1.5, 9.0, 0.0, 0.0]
    areas = [0.2, 0.4, 0.6, 0.6, 0.58, 0.3, 0.0, 0.0]
    shots = [shot(index, *both) for index, both in enumerate(zip(areas, scores, strict=True))]
    (part,) = [group for each in shots for group in grouping.add(each)]
    assert part.judged is not None
    assert part.usable is not None
    assert (part.judged.score, part.judged.frame.index, part.frames, part.index) == (2.0, 3, 3, 0)
    assert part.usable.frame.index == 3
    assert part.first_score == 1.0


def test_part_of_which_all_whole_frames_are_blind_is_not_judged() -> None:
    grouping = passing()
    grouping.add(shot(0, 0.3))
    for index in (1, 2):
        grouping.add(shot(index, 0.6, reason=NotJudged.BLIND))
    (part,) = feed(grouping, [0.0, 0.0], first=3)
    assert (part.judged, part.reason, part.frames) == (None, NotJudged.BLIND, 0)


def test_part_that_stops_has_one_result_and_is_overdue_until_the_view_was_empty() -> None:
    grouping = passing(max_frames=10)
    assert firsts(feed(grouping, [0.6] * 50)) == [(0, 10)]
    assert grouping.overdue
    assert feed(grouping, [0.0, 0.6, 0.6], first=50) == [], "one empty frame is not enough"
    assert grouping.overdue
    assert feed(grouping, [0.0, 0.0], first=53) == []
    assert not grouping.overdue
    assert firsts(feed(grouping, [0.6, 0.6, 0.0, 0.0], first=55)) == [(55, 2)]


def test_two_parts_that_touch_are_one() -> None:
    assert firsts(feed(passing(), [0.6] * 8 + [0.0, 0.0])) == [(0, 8)]


def test_camera_that_falls_silent_ends_the_part() -> None:
    grouping = passing()
    feed(grouping, [0.6, 0.6, 0.6])
    last = frame(2).captured_monotonic
    assert grouping.tick(last + 4.9) == []
    assert firsts(grouping.tick(last + 5.0)) == [(0, 3)]
    assert grouping.finish() == []


def test_whole_parts_are_known_by_those_before() -> None:
    grouping = passing()
    assert grouping.shows_whole_part(shot(0, 0.2).frame), "nothing is known yet"
    assert not grouping.shows_whole_part(shot(0, 0.04).frame), "the view is empty"
    feed(grouping, [0.6, 0.6, 0.0, 0.0])
    assert not grouping.shows_whole_part(shot(9, 0.5).frame)
    assert grouping.shows_whole_part(shot(9, 0.58).frame)


def test_code_of_any_frame_names_the_part() -> None:
    grouping = passing()
    unread = Code(problem="no readable code")
    for index, code in enumerate([unread, Code(text="SN7"), unread]):
        made = shot(index, 0.6)
        grouping.add(replace(made, frame=replace(made.frame, code=code)))
    (part,) = feed(grouping, [0.0, 0.0], first=3)
    assert part.part == "SN7"
