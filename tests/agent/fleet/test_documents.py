"""The latest documents within limits, and faults that are named."""

from __future__ import annotations

import pytest

from agent.fleet.broker import documents
from agent.fleet.broker.documents import Document, Documents
from agent.fleet.broker.faults import NAMED, Faults
from agent.fleet.broker.topic_tree import Place


def place(camera: int) -> Place:
    return Place("inspectd/plant", "plant", f"line{camera}", "state")


def document(payload: bytes = b"{}") -> Document:
    return Document(payload, True, 0.0, 0.0)


def test_latest_document_counts_and_an_empty_one_removes_it() -> None:
    kept = Documents(10)
    assert kept.put(place(1), document(b"1"))
    assert kept.put(place(1), document(b"2"))
    assert [(each.camera, found and found.payload) for each, found in kept.take_changed()] == [("line1", b"2")]
    assert kept.take_changed() == []
    assert kept.put(place(1), document(b""))
    assert kept.take_changed() == [(place(1), None)]
    assert kept.get("inspectd/plant", "line1", "state") is None


def test_more_cameras_than_the_limit_are_counted_and_known_ones_go_on() -> None:
    kept = Documents(1)
    taken = [kept.put(place(number), document()) for number in range(5)]
    assert taken == [True, True, True, False, False]
    assert kept.beyond == 2
    assert kept.put(place(0), document(b"new"))


def test_size_of_all_documents_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_KEPT_BYTES", 10)
    kept = Documents(10)
    assert kept.put(place(1), document(b"x" * 8))
    assert not kept.put(place(2), document(b"x" * 8))
    assert kept.put(place(1), document(b""))
    assert kept.put(place(2), document(b"x" * 8))


def test_faults_are_counted_and_the_latest_are_named() -> None:
    faults = Faults()
    for number in range(NAMED + 10):
        faults.add(f"topic{number}", "not JSON", 1.0)
    faults.add("topic20", "still not JSON\x1b[2J" + "x" * 1000, 2.0)
    named = faults.named()
    assert faults.count == NAMED + 11
    assert len(named) == NAMED
    assert (named[0]["topic"], named[0]["count"]) == ("topic20", 2)
    assert named[0]["reason"].startswith("still not JSON\\x1b")
    assert len(named[0]["reason"]) < 320
