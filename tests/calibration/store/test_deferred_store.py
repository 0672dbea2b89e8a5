"""A calibration that the disk does not take is in force, and is written once the disk takes it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from calibration import CalibrationError, DeferredStore, Store
from tests.calibration.lines import NOON, calibration

OLD = calibration(seed=1)
NEW = calibration(seed=2, who="bert", at=NOON + timedelta(hours=1))


class FullDisk:
    """Every write of a store fails with `No space left on device`, as /dev/full does it."""

    def __init__(self, directory: Path) -> None:
        self._names = [directory / f"{each.id}.new" for each in (OLD, NEW)]
        for name in self._names:
            name.symlink_to("/dev/full")

    def free(self) -> None:
        for name in self._names:
            name.unlink(missing_ok=True)


@pytest.fixture
def store(tmp_path: Path) -> DeferredStore:
    return DeferredStore(tmp_path / "line-1")


def test_calibration_that_the_disk_does_not_take_is_in_force_and_written_later(store: DeferredStore) -> None:
    disk = FullDisk(store.directory)
    store.save(OLD)
    store.activate(OLD.id, who="agent", at=NOON)
    assert "No space left on device" in str(store.problem)
    assert store.active() == store.load(OLD.id) == OLD
    assert (store.active_id, store.list()) == (OLD.id, [OLD.id])
    assert [switch.id for switch in store.history()] == [OLD.id]
    assert Store(store.directory).active_id is None, "nothing half written"
    assert not store.write_unwritten()
    disk.free()
    assert store.write_unwritten()
    assert store.problem is None
    written = Store(store.directory)
    assert written.active() == OLD
    assert [(switch.id, switch.who) for switch in written.history()] == [(OLD.id, "agent")]
    assert [path.name for path in store.directory.glob("*.new")] == []


def test_switches_on_a_full_disk_keep_their_order(store: DeferredStore) -> None:
    store.save(OLD)
    store.activate(OLD.id, who="anna", at=NOON)
    disk = FullDisk(store.directory)
    store.save(NEW)
    store.activate(NEW.id, who="bert", at=NOON)
    assert store.rollback(who="carl", at=NOON) == OLD
    assert store.active_id == OLD.id
    disk.free()
    store.write_unwritten()
    written = Store(store.directory)
    assert written.active_id == OLD.id
    assert [(each.id, each.event) for each in written.history()] == [
        (OLD.id, "activated"),
        (NEW.id, "activated"),
        (OLD.id, "rolled back"),
    ]


def test_calibration_that_nobody_saved_cannot_be_activated(store: DeferredStore) -> None:
    with pytest.raises(CalibrationError, match="no calibration"):
        store.activate(OLD.id, who="anna", at=NOON)
    assert store.active_id is None
    assert store.problem is None


def test_store_with_room_is_like_any_store(store: DeferredStore) -> None:
    path = store.save(OLD)
    assert path.exists()
    store.activate(OLD.id, who="anna", at=NOON)
    assert (store.directory / "active").is_symlink()
    assert store.problem is None
