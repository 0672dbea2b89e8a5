"""A disk that is full or read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.core.errors import InspectdError, Temporary
from agent.outputs.outbox import Entry, Message, Outbox
from agent.outputs.outbox.image_files import BACKGROUND_WRITE_BYTES
from tests.support.delivery import accept
from tests.support.small_disk import fill, mounted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB."""
    with mounted(tmp_path / "disk", "32m") as directory:
        yield directory


def test_full_disk_drops_images_before_alarms_and_is_logged(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(small_disk / "outbox.sqlite")
    accepted = [accept(outbox, f"a{number}", images={"frame": bytes(400_000)}) for number in range(90)]
    assert accepted == list(range(1, 91))
    assert outbox.alarms_waiting() == 90
    counts = outbox.counts()
    assert counts.dropped_pictures > 0
    assert counts.waiting == 90 + 90 - counts.dropped_pictures
    assert "the disk is full" in caplog.text
    outbox.close()


def accept_until_full(outbox: Outbox) -> tuple[int, str]:
    """How many alarms were accepted, and the error of the next."""
    for number in range(3000):
        try:
            accept(outbox, f"a{number}")
        except Temporary as error:
            return number, str(error)
    raise AssertionError("the disk was never full")


def test_disk_filled_by_another_program_is_a_temporary_error_and_leaves_no_gap(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "outbox.sqlite")
    (small_disk / "outbox.sqlite.reserve").unlink()
    fill(small_disk / "filler")
    accepted, error = accept_until_full(outbox)
    assert "the disk is full" in error
    assert "\n" not in error
    (small_disk / "filler").unlink()
    assert accept(outbox, "after") == accepted + 1
    assert outbox.alarms_waiting() == accepted + 1
    outbox.close()


def test_group_whose_images_do_not_fit_on_the_disk_is_accepted_without_them(small_disk: Path) -> None:
    """The second thread writes them, and its error reaches the caller."""
    outbox = Outbox(small_disk / "outbox.sqlite")
    images = [Message("t", bytes(BACKGROUND_WRITE_BYTES), f"a{n}", "frame", is_image=True) for n in range(16)]
    documents = [Message("t", b"{}", f"a{n}", "raised") for n in range(16)]
    accepted = 0
    while outbox.counts().dropped_pictures == 0:
        entries = [Entry("cam", lambda _, n=n: [documents[n], images[n]]) for n in range(16)]  # type: ignore[misc]
        accepted += len(outbox.accept_together(entries))
        assert accepted < 400, "the disk was never full"
    assert outbox.alarms_waiting() == accepted
    assert outbox.waiting() == 2 * accepted - outbox.counts().dropped_pictures
    kept = outbox.next_images(1000)
    assert all(row.payload == bytes(BACKGROUND_WRITE_BYTES) for row in kept)
    assert len(kept) == outbox.waiting() - accepted
    outbox.close()


def test_deletion_that_fails_on_a_full_disk_changes_no_count(small_disk: Path) -> None:
    """Rows that could not be deleted wait as before, and are counted once when they are deleted."""
    outbox = Outbox(small_disk / "outbox.sqlite")
    for number in range(100):
        accept(outbox, f"a{number}", camera=f"cam{number}", images={"frame": bytes(20_000)})
    (small_disk / "outbox.sqlite.reserve").unlink()
    fill(small_disk / "filler")
    rows = [row.id for row in outbox.next_alarms(100)]
    with suppress(Temporary):
        while True:  # the log has some room of its own
            outbox.save_state({"filler": os.urandom(100_000)})
    with suppress(Temporary):
        while True:
            outbox.save_state({"filler": b""})
    with pytest.raises(Temporary, match="the disk is full"):
        outbox.acknowledge(rows)
    assert outbox.alarms_waiting() == 100
    (small_disk / "filler").unlink()
    outbox.acknowledge(rows)
    assert outbox.alarms_waiting() == 0
    assert outbox.waiting() == 100
    outbox.close()


def test_read_only_disk_is_one_line(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "outbox.sqlite")
    accept(outbox, "first")
    outbox.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(InspectdError, match="read-only") as caught:
        accept(Outbox(small_disk / "outbox.sqlite"), "second")
    assert "\n" not in str(caught.value)
