"""Calibrations on disk: nothing is lost, rewritten or left half written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from calibration import CalibrationError, Store
from tests.calibration.lines import BUNDLE_SHA256, NOON, calibration

OLD = calibration(seed=1)
NEW = calibration(seed=2, who="bert", at=NOON + timedelta(hours=1))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "line-1")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"value": ', '"value": 1'),
        lambda text: text.replace("calibration/1", "calibration/9"),
        lambda text: text.replace('"who"', '"whom"'),
        lambda text: text.replace('"anna"', '"eve"'),
    ],
)
def test_store_corrupt_file_is_named(store: Store, damage: object) -> None:
    path = store.save(OLD)
    path.write_text(damage(OLD.to_json()))  # type: ignore[operator]
    with pytest.raises(CalibrationError, match=OLD.id) as error:
        store.load(OLD.id)
    assert "\n" not in str(error.value)


def test_store_binary_file_is_named(store: Store) -> None:
    path = store.save(OLD)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CalibrationError, match=OLD.id):
        store.load(OLD.id)


def test_store_active_only_where_bundle_and_engine_match(store: Store) -> None:
    assert store.active() is None
    store.save(OLD)
    assert store.active() is None
    store.activate(OLD.id, who="anna", at=NOON)
    assert store.active() == OLD
    assert store.active(bundle_sha256=BUNDLE_SHA256, engine="onnxruntime") == OLD
    assert store.active(bundle_sha256="cd" * 32) is None
    assert store.active(engine="torch") is None


def test_store_save_never_rewrites(store: Store) -> None:
    path = store.save(OLD)
    before = path.stat()
    assert store.save(OLD) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert store.list() == [OLD.id]


def test_store_rollback_returns_to_the_previous_one_and_records_who(store: Store) -> None:
    third = calibration(seed=3, at=NOON + timedelta(hours=2))
    for made in (OLD, NEW, third):
        store.save(made)
        store.activate(made.id, who=made.who, at=made.created_at)
    later = NOON + timedelta(days=1)
    assert store.rollback(who="carl", at=later) == NEW
    assert store.rollback(who="carl", at=later) == OLD
    with pytest.raises(CalibrationError, match="nothing to roll back to"):
        store.rollback(who="carl", at=later)
    assert store.active() == OLD
    assert [(switch.id, switch.who, switch.event) for switch in store.history()] == [
        (OLD.id, "anna", "activated"),
        (NEW.id, "bert", "activated"),
        (third.id, "anna", "activated"),
        (NEW.id, "carl", "rolled back"),
        (OLD.id, "carl", "rolled back"),
    ]
    assert store.list() == [OLD.id, NEW.id, third.id]


def test_store_rollback_passes_over_calibrations_of_other_bundles(store: Store) -> None:
    for made in (OLD, NEW):
        store.save(made)
        store.activate(made.id, who=made.who, at=made.created_at)
    for other in ({"bundle_sha256": "cd" * 32}, {"engine": "torch"}):
        with pytest.raises(CalibrationError, match="has no calibration for this bundle and engine before"):
            store.rollback(who="carl", at=NOON, **other)
    assert store.active() == NEW
    assert store.rollback(who="carl", at=NOON, bundle_sha256=BUNDLE_SHA256, engine="onnxruntime") == OLD


def test_store_history_skips_an_incomplete_line(store: Store) -> None:
    store.save(OLD)
    store.activate(OLD.id, who="anna", at=NOON)
    with (store.directory / "history.jsonl").open("a") as log:
        log.write('{"at": "2026-')
    store.activate(OLD.id, who="bert", at=NOON)
    assert [switch.who for switch in store.history()] == ["anna", "bert"]


@pytest.mark.parametrize("id", ["", "../../etc/passwd", "active", "20260102T120000000Z-00000000"])
def test_store_unknown_id_is_one_clear_line(store: Store, id: str) -> None:
    with pytest.raises(CalibrationError, match="calibration"):
        store.activate(id, who="anna", at=NOON)


def test_store_directory_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CalibrationError, match="file/line-1"):
        Store(tmp_path / "file" / "line-1")


SWITCHER = """
import sys
from tests.calibration.store.test_store import NEW, NOON, OLD
from calibration import Store
store = Store(sys.argv[1])
print("ready", flush=True)
while True:
    for made in (NEW, OLD):
        for path in store.directory.glob(made.id + ".json"):
            if store.active_id != made.id:
                path.unlink()
        store.save(made)
        store.activate(made.id, who=made.who, at=NOON)
"""


def test_store_killed_at_any_moment_holds_old_or_new(store: Store) -> None:
    """Twelve times, a process that saves and switches without pause is killed; the store stays complete."""
    store.save(OLD)
    store.activate(OLD.id, who="anna", at=NOON)
    moments = random.Random(1)
    for _ in range(12):
        command = [sys.executable, "-c", SWITCHER, str(store.directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.0, 0.05))
            process.send_signal(signal.SIGKILL)
        assert Store(store.directory).active() in (OLD, NEW)
    assert len(store.history()) > 12
