"""Images in segment files: written by one or two threads, torn, damaged, discarded."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agent.outputs.outbox.image_files import BACKGROUND_WRITE_BYTES, PAGE_BYTES, DamagedImage, ImageFiles
from agent.outputs.outbox.segments import KEPT_SPARES, MIN_SEGMENT_BYTES, Location
from tests.support.outbox_files import damage_image, file_of

QUOTA = 32 * MIN_SEGMENT_BYTES


@pytest.fixture
def images(tmp_path: Path) -> ImageFiles:
    made = ImageFiles(tmp_path / "images", max_bytes=QUOTA)
    made.open({})
    return made


def commit(images: ImageFiles, payloads: Iterable[bytes], removed: Iterable[Location] = ()) -> list[Location]:
    """Store and remove images in one durable transaction."""
    locations = [images.put(payload) for payload in payloads]
    images.sync()
    images.committed(locations, removed, durable=True)
    return locations


def usage(*locations: Location) -> dict[int, tuple[int, int]]:
    """What the rows of these images say when the store is opened."""
    found: dict[int, tuple[int, int]] = {}
    for location in locations:
        rows, end = found.get(location.segment, (0, 0))
        found[location.segment] = (rows + 1, max(end, location.offset + location.length))
    return found


# Writing and reading


def test_images_are_read_back_before_and_after_a_restart(images: ImageFiles) -> None:
    payloads = [bytes([number]) * (number * 1000) for number in range(1, 30)]
    locations = commit(images, payloads[:10]) + commit(images, payloads[10:])
    assert [images.read(location) for location in locations] == payloads
    images.open(usage(*locations))
    (more,) = commit(images, [b"more"])
    assert [images.read(location) for location in (*locations, more)] == [*payloads, b"more"]


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("size", [1000, BACKGROUND_WRITE_BYTES // 2 + 1, BACKGROUND_WRITE_BYTES])
def test_images_of_any_size_are_synced_once_after_the_last_write(
    images: ImageFiles, size: int, begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small amount is left to `sync`, a large one is written by the second thread."""
    calls: list[str] = []
    for name in ("pwritev", "fdatasync"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, call=call: (call(*a), calls.append(name))[0])
    payloads = [bytes([number]) * size for number in range(1, 4)]
    locations = [images.put(payload) for payload in payloads]
    if begun:
        images.begin_sync()
    images.sync()
    assert calls.count("fdatasync") == 1
    assert calls[-1] == "fdatasync"
    images.committed(locations, [], durable=True)
    assert [images.read(location) for location in locations] == payloads
    images.close()


def test_write_begins_on_a_new_page(images: ImageFiles) -> None:
    """A torn page holds nothing that was made durable earlier."""
    first, second = commit(images, [b"a" * 10, b"b" * 10])
    (third,) = commit(images, [b"c"])
    assert (first.offset, second.offset, third.offset) == (0, 10, PAGE_BYTES)


# Failed transactions


def test_discarded_images_are_overwritten(images: ImageFiles) -> None:
    before = images.put(b"a" * 5000)
    images.discard()
    (after,) = commit(images, [b"b" * 6000])
    assert (after.segment, after.offset) == (before.segment, before.offset)


def test_discarded_write_of_the_second_thread_is_cut_off(images: ImageFiles) -> None:
    """The thread is waited for: the next write has the same place, and the file is as long as it is known to be."""
    images.put(bytes(3 * BACKGROUND_WRITE_BYTES))
    images.begin_sync()
    images.discard()
    assert images.bytes_on_disk == sum(file.stat().st_size for file in images.directory.iterdir())
    (location,) = commit(images, [b"next"])
    assert location.offset == 0
    assert images.read(location) == b"next"
    images.close()


def test_write_of_the_second_thread_ends_before_its_file_is_set_aside(
    images: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database turns out to be corrupt while images are written: none of them gets into another file."""
    pwritev = os.pwritev

    def slow(*arguments: Any) -> int:
        time.sleep(0.1)  # a slow disk: without it, the write might be over by chance
        return pwritev(*arguments)

    monkeypatch.setattr(os, "pwritev", slow)
    old = images.put(b"old" * BACKGROUND_WRITE_BYTES)
    written = file_of(images.directory, old)
    images.set_aside(".aside")
    (location,) = commit(images, [b"new" * 1000])
    aside = images.directory.with_name(images.directory.name + ".aside") / written.name
    assert aside.read_bytes()[: old.length] == b"old" * BACKGROUND_WRITE_BYTES
    assert images.read(location) == b"new" * 1000
    images.close()


def test_torn_write_at_the_end_is_overwritten(images: ImageFiles) -> None:
    (kept,) = commit(images, [b"kept" * 1000])
    images.put(b"torn" * 1000)
    images.sync()  # the power fails before the commit
    with file_of(images.directory, kept).open("r+b") as file:
        file.truncate(PAGE_BYTES + 1234)
    again = ImageFiles(images.directory, max_bytes=QUOTA)
    again.open(usage(kept))
    (later,) = commit(again, [b"next" * 1000])
    assert (later.segment, later.offset) == (kept.segment, PAGE_BYTES)
    assert again.read(kept) == b"kept" * 1000
    assert again.read(later) == b"next" * 1000


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
def test_damaged_image_is_recognised(images: ImageFiles, damage: str) -> None:
    (location,) = commit(images, [b"image" * 1000])
    damage_image(images.directory, damage, location)
    with pytest.raises(DamagedImage):
        images.read(location)


# Reuse of segments


def test_emptied_segment_is_reused_only_once_the_deletion_is_durable(images: ImageFiles) -> None:
    """A power cut may restore a row whose deletion was not synced: its image must still be there."""
    (location,) = commit(images, [b"delivered"])
    images.committed([], [location], durable=False)
    assert images.emptied == 1
    other = images.put(b"another")
    assert other.segment != location.segment
    images.sync()
    assert images.read(location) == b"delivered"
    images.committed([other], [], durable=True)
    assert images.emptied == 0
    commit(images, [bytes(MIN_SEGMENT_BYTES)])
    (reused,) = commit(images, [b"third"])
    assert reused.segment == location.segment


def test_few_spares_are_kept_and_they_are_overwritten(images: ImageFiles) -> None:
    waiting: list[Location] = []
    for number in range(200):
        waiting += commit(images, [bytes([number]) * 30_000])
        if len(waiting) > 10:
            commit(images, [], removed=[waiting.pop(0)])
    assert len(list(images.directory.iterdir())) <= KEPT_SPARES + 10 * 30_000 // MIN_SEGMENT_BYTES + 2
    assert images.bytes_on_disk == sum(file.stat().st_size for file in images.directory.iterdir())
    assert [images.read(location)[0] for location in waiting] == list(range(190, 200))
