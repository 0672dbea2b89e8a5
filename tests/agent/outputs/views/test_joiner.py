"""Views of the same part become one result: in time, late, missing, and across a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, time, timezone
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import Temporary
from agent.core.problems import Problems
from agent.core.records import NotJudged, Part, PartVerdict
from agent.messages import JoinedResultPayload, ModelPayload
from agent.outputs import PartCounts, ResultRecorder, ViewGroup, ViewJoiner, build_outputs
from agent.outputs.mqtt.settings import MqttSettings
from agent.outputs.outbox import Outbox
from agent.outputs.result_recorder import _Job
from agent.parts import ShiftCalendar

MODEL = ModelPayload(name="plate", sha256="0" * 64)
GROUPS = [ViewGroup("p1", ("top", "side"), 2.0), ViewGroup("p2", ("left", "right", "rear"), 5.0)]


def view(camera: str, part: str, verdict: str = "ok", *, id: str | None = None, score: float = 1.0) -> Part:
    found = PartVerdict(verdict)
    unjudged = found is PartVerdict.NOT_JUDGED
    return Part(
        part=part,
        camera=camera,
        verdict=found,
        reason=NotJudged.BLIND if unjudged else None,
        score=None if unjudged else score,
        threshold=2.0,
        calibration="c1",
        frames=0 if unjudged else 1,
        frame=3,
        captured_at=datetime.now(timezone.utc),
        started_monotonic=100.0,
        id=id,
    )


class Run:
    """The recorder of one run of an agent, without its thread, on a clock of the test."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.seconds = 100.0
        self.problems = Problems()
        outputs = build_outputs({"mqtt": MqttSettings()}, site="plant", outbox=outbox, problems=self.problems)
        self.counts = PartCounts(outbox, ShiftCalendar([time(6)], timezone.utc))
        self.joiner = ViewJoiner(
            "plant", GROUPS, outputs, outbox, self.counts, self.problems, clock=lambda: self.seconds
        )
        self.joiner.begin()
        self._recorder = ResultRecorder("plant", outputs, outbox, counts=self.counts, joiner=self.joiner)
        self._number = 0

    def record(self, *parts: Part) -> None:
        """Store the results of these views in one commit."""
        self.outbox.accept_together([self._recorder._entry(self._job(part)) for part in parts])
        self._recorder._stored()

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        self._recorder._waited()

    def _job(self, part: Part) -> _Job:
        self._number += 1
        return _Job(part, part.id or f"r{self._number}", 0.1, MODEL, "onnxruntime", datetime.now(timezone.utc))

    @property
    def joined(self) -> list[dict[str, Any]]:
        """The joined results that are in the outbox, in their order."""
        query = "SELECT topic, payload FROM message WHERE topic LIKE '%/parts/%/result' ORDER BY id"
        rows = self.outbox.read(lambda db: db.execute(query).fetchall())
        documents = [json.loads(payload) for _, payload in rows]
        for (topic, _), document in zip(rows, documents, strict=True):
            JoinedResultPayload.model_validate(document)
            assert topic == f"inspectd/plant/parts/{document['group']}/result"
        return documents

    def numbers(self, group: str = "p1") -> tuple[int, int, int]:
        total = self.counts.shift(f"parts/{group}", datetime.now(timezone.utc)).total
        return total.ok, total.nok, total.not_judged


@contextmanager
def opened(path: Path) -> Iterator[Run]:
    outbox = Outbox(path / "results.sqlite")
    try:
        yield Run(outbox)
    finally:
        outbox.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with opened(tmp_path) as run:
        yield run


def summary(document: dict[str, Any]) -> tuple[str, str, str | None, list[str]]:
    return document["part"], document["verdict"], document["reason"], document["missing"]


def test_views_of_one_part_become_one_result(run: Run) -> None:
    run.record(view("side", "SN1"))
    assert run.joined == []
    run.seconds += 0.5
    run.record(view("top", "SN1"))
    (found,) = run.joined
    assert summary(found) == ("SN1", "ok", None, [])
    assert [each["camera"] for each in found["views"]] == ["top", "side"], "in the order of the settings"
    assert [each["result"] for each in found["views"]] == ["r2", "r1"]
    assert found["latency_ms"] == 500.0
    assert run.joiner.counts["p1"].latest is not None
    assert run.joiner.counts["p1"].latest.part == "SN1"
    assert run.numbers() == (1, 0, 0)
    run.pass_time(60.0)
    assert len(run.joined) == 1


def test_results_of_cameras_stay_without_gaps_beside_joined_ones(run: Run) -> None:
    for part in ("SN1", "SN2", "SN3"):
        run.record(view("top", part), view("side", part))
    query = "SELECT payload FROM message WHERE topic NOT LIKE '%/parts/%' ORDER BY id"
    rows = run.outbox.read(lambda db: db.execute(query).fetchall())
    assert [json.loads(payload)["sequence"] for (payload,) in rows] == [1, 2, 3, 4, 5, 6]
    assert [document["sequence"] for document in run.joined] == [1, 2, 3], "counted apart"


@pytest.mark.parametrize(
    ("verdicts", "wanted"),
    [
        (("ok", "ok", "ok"), ("ok", None)),
        (("ok", "nok", "not_judged"), ("nok", None)),
        (("ok", "not_judged", "ok"), ("not_judged", "blind")),
    ],
)
def test_verdict_of_three_views(run: Run, verdicts: tuple[str, ...], wanted: tuple[str, str | None]) -> None:
    run.record(*(view(camera, "A", verdict) for camera, verdict in zip(GROUPS[1].cameras, verdicts, strict=True)))
    (found,) = run.joined
    assert (found["verdict"], found["reason"]) == wanted


def test_missing_view_is_named_once_its_time_is_over(run: Run) -> None:
    run.record(view("top", "SN1"), view("top", "SN2", "nok"))
    run.pass_time(1.9)
    assert run.joined == []
    assert run.joiner.counts["p1"].waiting == 2
    run.pass_time(0.2)
    assert [summary(each) for each in run.joined] == [
        ("SN1", "not_judged", "view_missing", ["side"]),
        ("SN2", "nok", None, ["side"]),
    ]
    assert run.joiner.counts["p1"].waiting == 0
    assert run.joiner.wait_seconds is None
    assert run.numbers() == (0, 1, 1)


def test_late_view_is_reported_and_makes_no_second_result(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.record(view("top", "SN1"))
    run.pass_time(2.1)
    run.record(view("side", "SN1", "nok"))
    run.pass_time(60.0)
    assert [summary(each) for each in run.joined] == [("SN1", "not_judged", "view_missing", ["side"])]
    assert run.joiner.counts["p1"].late_views == 1
    (problem,) = run.problems.all()
    assert problem.startswith("parts.p1: the view of side came after the result of part SN1, which lacks it; wanted")
    assert problem in caplog.text
    run.record(view("top", "SN2"), view("side", "SN2"))
    assert run.problems.all() == [], "over with the next complete part"


def test_part_that_is_shown_again_has_another_result(run: Run) -> None:
    for _ in range(2):
        run.record(view("top", "SN1", "nok"))
        run.record(view("side", "SN1"))
    assert [document["sequence"] for document in run.joined] == [1, 2]
    assert run.joined[0]["id"] != run.joined[1]["id"]


def test_file_that_is_inspected_again_after_a_kill_makes_no_second_result(run: Run) -> None:
    run.record(view("top", "a.png", id="t1"), view("side", "a.png", id="s1"))
    run.record(view("top", "a.png", id="t1"))
    run.pass_time(60.0)
    assert len(run.joined) == 1
    assert run.joiner.counts["p1"].late_views == 0


def test_half_joined_part_has_one_result_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.record(view("top", "SN1"), view("top", "SN2"))
        run.record(view("side", "SN0"), view("top", "SN0"))
    with opened(tmp_path) as run:
        assert run.joiner.counts["p1"].waiting == 2
        run.seconds += 1.0
        run.record(view("side", "SN1", "nok"))
        run.pass_time(0.9)
        assert len(run.joined) == 2, "the time of SN2 began again"
        run.pass_time(0.2)
    with opened(tmp_path) as run:
        run.pass_time(60.0)
        assert [(each["sequence"], *summary(each)) for each in run.joined] == [
            (1, "SN0", "ok", None, []),
            (2, "SN1", "nok", None, []),
            (3, "SN2", "not_judged", "view_missing", ["side"]),
        ]


def test_view_of_a_transaction_that_failed_is_joined_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full for a while, in the middle of a commit and when a part's time is over."""
    flush = "agent.outputs.outbox.transaction.Transaction.flush"
    run.record(view("top", "SN1"))
    for act in (lambda: run.record(view("side", "SN1")), lambda: run.pass_time(2.1)):
        with monkeypatch.context() as patched:
            patched.setattr(flush, _raise)
            with suppress(Temporary):
                act()
        assert run.joined == []
        assert run.numbers() == (0, 0, 0)
    run.pass_time(0.5)
    assert run.joined == [], "tried again a second later"
    run.pass_time(0.6)
    assert [summary(each) for each in run.joined] == [("SN1", "not_judged", "view_missing", ["side"])]


def _raise(*_: object) -> None:
    raise Temporary("no space left on device")


def test_part_that_waits_while_its_group_changes_has_its_result_by_the_old_cameras(run: Run) -> None:
    run.record(view("top", "SN1"), view("left", "SN1"))
    run.joiner.adopt([ViewGroup("p1", ("top", "rear"), 2.0), ViewGroup("p2", ("left", "right"), 1.0)])
    assert [summary(each) for each in run.joined] == [
        ("SN1", "not_judged", "view_missing", ["side"]),
        ("SN1", "not_judged", "view_missing", ["right", "rear"]),
    ]
    run.record(view("top", "SN2"), view("rear", "SN2", "nok"), view("side", "SN2"))
    assert summary(run.joined[-1]) == ("SN2", "nok", None, [])
    assert [each["sequence"] for each in run.joined if each["group"] == "p1"] == [1, 2]
    assert {name: counts.waiting for name, counts in run.joiner.counts.items()} == {"p1": 0, "p2": 0}


def test_part_of_a_removed_group_has_its_result_and_a_new_group_begins(run: Run) -> None:
    run.record(view("top", "SN1"), view("left", "SN1"), view("right", "SN1"))
    run.joiner.adopt([ViewGroup("p3", ("top", "left"), 1.0)])
    assert [(each["group"], *summary(each)) for each in run.joined] == [
        ("p1", "SN1", "not_judged", "view_missing", ["side"]),
        ("p2", "SN1", "not_judged", "view_missing", ["rear"]),
    ]
    assert [group.name for group in run.joiner.groups] == ["p3"]
    run.record(view("side", "SN1"), view("top", "SN2"), view("left", "SN2", "nok"))
    assert [(each["group"], each["sequence"], each["verdict"]) for each in run.joined[2:]] == [("p3", 1, "nok")]
    run.joiner.adopt(GROUPS)
    run.record(view("top", "SN3"), view("side", "SN3"))
    assert (run.joined[-1]["group"], run.joined[-1]["sequence"]) == ("p1", 2), "its numbers go on"
    assert run.numbers() == (1, 0, 1)
    assert run.joiner.wait_seconds is None


def test_part_of_a_removed_group_has_its_result_once_the_disk_has_room(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.record(view("top", "SN1"))

    def full(work: object) -> None:
        raise Temporary("the disk is full")

    monkeypatch.setattr(run.outbox, "add_following", full)
    run.joiner.adopt([GROUPS[1]])
    assert run.joined == []
    monkeypatch.undo()
    run.pass_time(1.1)
    assert [summary(each) for each in run.joined] == [("SN1", "not_judged", "view_missing", ["side"])]
    assert run.joiner.counts["p1"].waiting == 0


def test_another_time_limit_counts_for_parts_that_begin_later(run: Run) -> None:
    run.record(view("top", "SN1"))
    run.joiner.adopt([ViewGroup("p1", ("top", "side"), 10.0), GROUPS[1]])
    run.record(view("top", "SN2"))
    run.pass_time(2.1)
    assert [summary(each)[0] for each in run.joined] == ["SN1"]
    run.pass_time(8.0)
    assert [summary(each)[0] for each in run.joined] == ["SN1", "SN2"]


def test_camera_of_no_group_is_not_joined(run: Run) -> None:
    run.record(view("other", "SN1"))
    run.pass_time(60.0)
    assert run.joined == []
    assert run.joiner.wait_seconds is None
