"""What is dropped when the quota is used up, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.records import AlarmEvent
from agent.outputs.outbox import RESULT, ROW_BYTES, Message, Outbox
from agent.outputs.outbox.segments import KEPT_SPARES, MIN_SEGMENT_BYTES
from agent.outputs.outbox.store import SYNC_FROM_EMPTIED
from tests.support.delivery import accept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.sqlite"


def test_quota_drops_oldest_images_then_oldest_cleared_alarms(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(path, max_bytes=40_000)
    for number in range(10):
        accept(outbox, f"a{number}", images={"heatmap": bytes(3000)})
        accept(outbox, f"a{number}", event=AlarmEvent.CLEARED)
    kept = sorted(row.sequence for row in outbox.next_images(100))
    assert 0 < len(kept) < 10
    assert kept == list(range(kept[0], 20, 2)), "the oldest images were dropped"
    assert outbox.counts().dropped_alarms == 0
    for number in range(10, 40):
        accept(outbox, f"a{number}")
        accept(outbox, f"a{number}", event=AlarmEvent.CLEARED)
    counts = outbox.counts()
    assert counts.waiting_bytes <= 40_000
    assert counts.dropped_pictures == 10
    assert counts.dropped_alarms % 2 == 0
    assert counts.missing == tuple(range(1, counts.dropped_alarms + 1)), (
        "the oldest alarms were dropped, raised with cleared"
    )
    assert outbox.next_alarms(1)[0].sequence == counts.dropped_alarms + 1
    assert counts.sequence == 80
    assert "the outbox is full" in caplog.text
    outbox.close()


def test_oldest_results_are_dropped_and_their_numbers_reported(path: Path) -> None:
    outbox = Outbox(path, max_bytes=20_000)
    for number in range(60):
        outbox.accept("cam", lambda sequence, n=number: [Message("result", bytes(400), f"r{n}", RESULT)])
    counts = outbox.counts()
    assert counts.waiting_bytes <= 20_000
    assert counts.dropped_alarms > 0
    assert counts.missing == tuple(range(1, counts.dropped_alarms + 1))
    assert outbox.next_alarms(1)[0].sequence == counts.dropped_alarms + 1
    outbox.close()


def test_active_alarm_is_never_dropped(path: Path) -> None:
    outbox = Outbox(path, max_bytes=20_000)
    accept(outbox, "active")
    for number in range(50):
        accept(outbox, f"a{number}")
        accept(outbox, f"a{number}", event=AlarmEvent.CLEARED)
    assert outbox.next_alarms(1)[0].alarm == "active"
    outbox.close()


def test_image_larger_than_the_quota_is_dropped_without_its_alarm(path: Path) -> None:
    outbox = Outbox(path, max_bytes=20_000)
    accept(outbox, "a", images={"heatmap": bytes(30_000), "overlay": bytes(5_000)})
    assert [row.part for row in outbox.next_images(5)] == ["overlay"]
    assert outbox.counts().dropped_pictures == 1
    assert outbox.next_alarms(1)[0].alarm == "a"
    outbox.close()


QUOTA = 32 * MIN_SEGMENT_BYTES
A_DAY = pytest.param(432_000, 64 * 1024**2, marks=[pytest.mark.faults, pytest.mark.timeout(3600)])


@pytest.mark.parametrize(("total", "max_bytes"), [(400, 200_000), A_DAY])
def test_a_day_offline_stays_within_the_disk(
    path: Path, total: int, max_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Alarms at five a second, without the waits: the files are bounded, and every alarm waits or is counted."""
    outbox = Outbox(path, max_bytes=max_bytes)
    for number in range(total // 2):
        accept(outbox, f"a{number}", images={"heatmap": bytes(2000)})
        accept(outbox, f"a{number}", event=AlarmEvent.CLEARED)
        if number % 1000 == 0:
            assert outbox.bytes_on_disk() < 2 * max_bytes + 6 * 1024**2
    counts = outbox.counts()
    assert outbox.alarms_waiting() + counts.dropped_alarms == total
    assert counts.waiting_bytes <= max_bytes
    assert outbox.bytes_on_disk() < 2 * max_bytes + 6 * 1024**2
    rows = []
    while batch := outbox.next_alarms(1):
        rows += batch
        outbox.acknowledge([row.id for row in batch])
    assert [row.sequence for row in rows] == list(range(counts.dropped_alarms + 1, total + 1))
    assert len([record for record in caplog.records if "the outbox is full" in record.message]) == 1, "warned once"
    outbox.close()


def test_disk_space_is_returned_after_an_outage(path: Path) -> None:
    outbox = Outbox(path, max_bytes=64_000_000)
    for number in range(80):
        accept(outbox, f"a{number}", images={"frame": bytes(500_000)})
    assert outbox.bytes_on_disk() > 80 * 500_000
    for first in range(1, 161, 10):
        outbox.acknowledge(range(first, first + 10))
    outbox.close()
    kept = sum(file.stat().st_size for file in path.with_name("outbox.sqlite.pictures").iterdir())
    assert kept < (KEPT_SPARES + SYNC_FROM_EMPTIED + 1) * 2_500_000, "spare segments, and no more"


def test_file_grows_by_what_the_quota_counts(path: Path) -> None:
    """`ROW_BYTES` in addition to the payload."""
    Outbox(path).close()
    empty = path.stat().st_size
    outbox = Outbox(path)
    payload = bytes(1000)
    for _ in range(200):
        outbox.accept("camera-1", lambda n: [Message("inspectd/plant/camera-1/alarm", payload, f"{n:036}", "raised")])
    outbox.close()
    assert (path.stat().st_size - empty) / 200 < 1.2 * (1000 + ROW_BYTES)


def test_few_images_that_occupy_many_segments_are_dropped(path: Path) -> None:
    """One image of each segment stays: few bytes wait, but the use of the disk is bounded."""
    outbox = Outbox(path, max_bytes=QUOTA)
    for number in range(400):
        accept(outbox, f"a{number}", images={"heatmap": bytes(20_000)})
        for row in outbox.next_images(3):
            if row.sequence % 4 != 1:
                outbox.acknowledge([row.id])
        outbox.acknowledge([row.id for row in outbox.next_alarms(5)])
        assert outbox.bytes_on_disk() < 2 * QUOTA + 6 * 1024**2
    counts = outbox.counts()
    assert counts.dropped_pictures > 0
    assert counts.dropped_alarms == 0
    outbox.close()
