"""The contract of an outbox: what is accepted is numbered, in order, and kept until it is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.outputs.outbox import Message, Outbox

Open = Callable[[], Outbox]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Open]:
    """Opens the outbox; every call closes the previous one first, as a restart does."""
    opened: list[Outbox] = []

    def again() -> Outbox:
        for outbox in opened:
            outbox.close()
        opened.append(Outbox(tmp_path / "outbox.sqlite", max_bytes=10_000_000))
        return opened[-1]

    yield again
    opened[-1].close()


def messages(alarm: str, part: str = "raised", images: int = 0) -> list[Message]:
    document = Message(f"t/{alarm}", f"{alarm} {part}".encode(), alarm, part)
    return [document] + [
        Message(f"t/{alarm}/{number}", bytes(100), alarm, f"image{number}", is_image=True) for number in range(images)
    ]


def test_sequence_has_no_gaps_and_survives_a_restart(reopen: Open) -> None:
    outbox = reopen()
    assert [outbox.accept("cam", lambda _: messages("a")) for _ in range(3)] == [1, 2, 3]
    outbox.acknowledge([row.id for row in outbox.next_alarms(10)])
    assert reopen().accept("cam", lambda _: messages("b")) == 4


def test_builder_gets_the_number_that_accept_returns(reopen: Open) -> None:
    passed: list[int] = []
    outbox = reopen()
    returned = [outbox.accept("cam", lambda sequence: passed.append(sequence) or messages("a")) for _ in range(3)]
    assert passed == returned


def test_failing_builder_changes_nothing(reopen: Open) -> None:
    outbox = reopen()
    outbox.accept("cam", lambda _: messages("a"), state={"open": b"a"})

    def fail(_: int) -> list[Message]:
        raise ValueError("no image")

    with pytest.raises(ValueError, match="no image"):
        outbox.accept("cam", fail, state={"open": b"b"})
    assert outbox.state() == {"open": b"a"}
    assert outbox.waiting() == 1
    assert outbox.accept("cam", lambda _: messages("c")) == 2


def test_state_is_stored_with_the_alarm(reopen: Open) -> None:
    outbox = reopen()
    outbox.accept("cam", lambda _: messages("a"), state={"alarm/cam": b"1", "alarm/other": b"2"})
    outbox.accept("cam", lambda _: messages("b"), state={"alarm/cam": b""})
    outbox.save_state({"more": b"3"})
    assert reopen().state() == {"alarm/cam": b"", "alarm/other": b"2", "more": b"3"}


def test_alarms_are_offered_in_order_one_for_each_camera(reopen: Open) -> None:
    outbox = reopen()
    for number in range(6):
        outbox.accept(f"cam{number % 2}", lambda _: messages("a", images=1))
    assert [row.sequence for row in outbox.next_alarms(10)] == [1, 2]
    assert [row.sequence for row in outbox.next_alarms(10, busy={"cam0"})] == [2]
    assert [row.sequence for row in outbox.next_alarms(1)] == [1]
    assert outbox.next_alarms(0) == []
    outbox.acknowledge([row.id for row in outbox.next_alarms(10)])
    assert [row.sequence for row in reopen().next_alarms(10)] == [3, 4]


def test_images_of_the_newest_alarm_are_offered_first_in_their_order(reopen: Open) -> None:
    outbox = reopen()
    for _ in range(3):
        outbox.accept("cam", lambda _: messages("a", images=2))
    rows = outbox.next_images(10)
    assert [(row.sequence, row.part) for row in rows] == [
        (sequence, part) for sequence in (3, 2, 1) for part in ("image0", "image1")
    ]
    assert outbox.next_images(2, excluding=[rows[0].id, rows[2].id]) == [rows[1], rows[3]]


def test_row_stays_until_acknowledged(reopen: Open) -> None:
    outbox = reopen()
    outbox.accept("cam", lambda _: messages("a", images=1))
    before = outbox.next_alarms(1)[0]
    row = reopen().next_alarms(1)[0]
    assert (row.id, row.payload, row.topic, row.alarm) == (before.id, b"a raised", "t/a", "a")
    outbox = reopen()
    outbox.acknowledge([row.id, row.id, 999_999])
    assert outbox.next_alarms(1) == []
    assert (outbox.waiting(), outbox.alarms_waiting()) == (1, 0)


def test_capture_time_is_known_only_in_the_same_run(reopen: Open) -> None:
    """The monotonic clock of an earlier boot is another one."""
    outbox = reopen()
    outbox.accept("cam", lambda _: messages("a"), captured_monotonic=12.5)
    assert outbox.next_alarms(1)[0].captured_monotonic == 12.5
    assert reopen().next_alarms(1)[0].captured_monotonic is None


def test_rejected_row_is_counted_and_its_number_recorded(reopen: Open) -> None:
    outbox = reopen()
    outbox.accept("cam", lambda _: messages("a", images=1))
    outbox.reject(outbox.next_alarms(1)[0], "topic name invalid")
    outbox.reject(outbox.next_images(1)[0], "topic name invalid")
    counts = reopen().counts()
    assert (counts.waiting, counts.dead_letters, counts.missing) == (0, 2, (1,))


def test_replaced_image_keeps_its_row(reopen: Open) -> None:
    outbox = reopen()
    outbox.accept("cam", lambda _: messages("a", images=1))
    row = outbox.next_images(1)[0]
    outbox.replace(row, Message("t/a/omitted", b"{}", "a", "omitted", is_image=True))
    (note,) = reopen().next_images(5)
    assert (note.id, note.topic, note.payload, note.part) == (row.id, "t/a/omitted", b"{}", "omitted")


Step = st.one_of(
    st.tuples(st.just("accept"), st.sampled_from(["cam0", "cam1"]), st.integers(0, 3)),
    st.tuples(st.just("acknowledge"), st.just(""), st.integers(1, 3)),
    st.tuples(st.just("restart"), st.just(""), st.just(0)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(Step, max_size=30))
def test_any_history_keeps_numbers_order_and_counts(
    steps: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Compared with a list that does the same."""
    path = tmp_path_factory.mktemp("history") / "outbox.sqlite"
    outbox, model, last = Outbox(path), dict[str, list[int]](cam0=[], cam1=[]), 0
    images = 0
    for what, camera, number in steps:
        if what == "accept":
            sequence = outbox.accept(camera, lambda _: messages("a", images=number))  # noqa: B023
            last, images = last + 1, images + number
            assert sequence == last
            model[camera].append(sequence)
        elif what == "acknowledge":
            for row in outbox.next_alarms(number):
                assert model[row.camera].pop(0) == row.sequence
                outbox.acknowledge([row.id])
        else:
            outbox.close()
            outbox = Outbox(path)
        assert outbox.alarms_waiting() == sum(map(len, model.values()))
        assert outbox.waiting() == outbox.alarms_waiting() + images
    outbox.close()
