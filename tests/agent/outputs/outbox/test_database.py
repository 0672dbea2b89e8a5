"""Corrupt files, files in use, and impossible paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.core.errors import InspectdError, Permanent
from agent.outputs.outbox import SEQUENCE_JUMP, Outbox
from tests.support.delivery import accept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.sqlite"


def alarms_in(outbox: Outbox) -> list[str]:
    """The alarms that wait, by id of the row."""
    after: dict[str, int] = {}
    found = []
    while rows := outbox.next_alarms(5, after=after):
        found += [row.alarm for row in rows]
        after |= {row.camera: row.id for row in rows}
    return found


@pytest.mark.parametrize("damage", ["header", "middle", "text"])
def test_corrupt_file_is_set_aside_and_numbers_continue_after_a_gap(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(path)
    for number in range(50):
        accept(outbox, f"a{number}", images={"heatmap": bytes(3000)})
    outbox.close()
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:100] = os.urandom(100)
    elif damage == "middle":
        content[4096 : len(content) // 2] = os.urandom(len(content) // 2 - 4096)
    path.write_bytes(b"not a database" if damage == "text" else bytes(content))
    outbox = Outbox(path)
    (aside,) = path.parent.glob("outbox.sqlite.corrupt-*")
    assert accept(outbox, "new") == 50 + SEQUENCE_JUMP + 1
    (incident,) = outbox.incidents()
    assert aside.name in incident
    assert "\n" not in incident
    assert "is corrupt" in caplog.text
    waiting = alarms_in(outbox)
    assert waiting[-1] == "new"
    assert len(waiting) == (51 if damage == "header" else 1), "a new header makes the rest readable"
    outbox.close()
    assert Outbox(path).incidents() == [], "the next start has no incident"


def test_file_that_is_corrupted_while_open_is_replaced_and_old_pubacks_delete_nothing(path: Path) -> None:
    outbox = Outbox(path)
    for number in range(20):
        accept(outbox, f"a{number}", images={"heatmap": bytes(9000)})
    old = range(1, outbox.last_id() + 1)
    database = outbox._storage.database
    database.checkpoint()
    database._connection.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
    assert accept(outbox, "new") == 20 + SEQUENCE_JUMP + 1
    assert len(outbox.incidents()) == 1
    outbox.acknowledge(old)
    assert alarms_in(outbox) == ["new"]
    outbox.close()


def test_second_agent_on_the_same_file_is_rejected(path: Path) -> None:
    outbox = Outbox(path)
    with pytest.raises(Permanent, match="in use by another process"):
        Outbox(path)
    outbox.close()


@pytest.mark.parametrize("made", ["directory", "parent is a file"])
def test_impossible_path_is_one_line(path: Path, made: str) -> None:
    if made == "directory":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("")
    with pytest.raises(InspectdError) as caught:
        Outbox(path)
    assert str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_of_a_corrupt_database_are_set_aside(path: Path) -> None:
    outbox = Outbox(path, max_bytes=2_000_000)
    accept(outbox, "lost", images={"heatmap": b"lost" * 1000})
    outbox.close()
    path.write_bytes(b"not a database")
    outbox = Outbox(path, max_bytes=2_000_000)
    (aside,) = path.parent.glob("outbox.sqlite.pictures.corrupt-*")
    assert any(b"lost" * 1000 in file.read_bytes() for file in aside.iterdir())
    accept(outbox, "new", images={"heatmap": b"new"})
    assert [row.payload for row in outbox.next_images(5)] == [b"new"]
    outbox.close()
