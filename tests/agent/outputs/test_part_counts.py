"""Parts in numbers: each result once, durable with it, by product and shift."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, time, timedelta, timezone
from pathlib import Path

import pytest

from agent.core.records import NotJudged, Part, PartVerdict
from agent.messages import ModelPayload
from agent.outputs import PartCounts, PartNumbers, ResultRecorder
from agent.outputs.outbox import Entry, Message, Outbox
from agent.parts import ShiftCalendar

# Numbers of the last two weeks are kept, by the clock of this machine.
AT = datetime.now(timezone.utc).replace(hour=10)
CALENDAR = ShiftCalendar([time(6), time(14), time(22)], timezone.utc)
MODEL = ModelPayload(name="plate", sha256="0" * 64)


def part(verdict: str, *, name: str = "1", id: str | None = None, product: str | None = None, **more: bool) -> Part:
    found = PartVerdict(verdict)
    return Part(
        part=name,
        camera="line1",
        verdict=found,
        reason=NotJudged.BLIND if found is PartVerdict.NOT_JUDGED else None,
        score=None,
        threshold=None,
        calibration=None,
        frames=1,
        frame=0,
        captured_at=AT,
        started_monotonic=0.0,
        product=product,
        id=id,
        **more,
    )


class Line:
    """Records results as the agent does, and counts them."""

    def __init__(self, path: Path) -> None:
        self.outbox = Outbox(path)
        self.at = AT
        self.counts = PartCounts(self.outbox, CALENDAR)
        recorder = ResultRecorder("plant", [], self.outbox, counts=self.counts, now=lambda: self.at)
        self._entry: Callable[[Part], Entry] = lambda part: recorder._entry(_job(recorder, part))

    def record(self, *parts: Part) -> None:
        self.outbox.accept_together([self._entry(each) for each in parts])
        self.counts.refresh()

    def numbers(self, product: str | None = None) -> PartNumbers:
        return self.counts.shift("line1", self.at).products.get(product, PartNumbers())

    def close(self) -> None:
        self.outbox.close()


def _job(recorder: ResultRecorder, part: Part):  # type: ignore[no-untyped-def]
    recorder.put(part, MODEL, "onnxruntime")
    return recorder._jobs.get().job  # type: ignore[union-attr]


def test_parts_are_counted_by_product_and_shift(tmp_path: Path) -> None:
    line = Line(tmp_path / "results.sqlite")
    line.record(part("ok", product="A"), part("ok", product="A"), part("nok", product="B"), part("not_judged"))
    shift = line.counts.shift("line1", line.at)
    assert {name: (each.ok, each.nok, each.not_judged) for name, each in shift.products.items()} == {
        None: (0, 0, 1),
        "A": (2, 0, 0),
        "B": (0, 1, 0),
    }
    assert shift.total.first_pass_yield == pytest.approx(2 / 3)
    line.at += timedelta(hours=8)
    assert line.counts.shift("line1", line.at).products == {}, "another shift"
    line.record(part("ok"))
    previous = line.counts.previous("line1", line.at)
    assert previous is not None
    assert previous.shift.start.hour == 6
    assert previous.total == shift.total


def test_numbers_survive_a_restart(tmp_path: Path) -> None:
    line = Line(tmp_path / "results.sqlite")
    line.record(*(part("ok") for _ in range(5)), part("nok"))
    line.close()
    assert Line(tmp_path / "results.sqlite").numbers() == PartNumbers(ok=5, nok=1, first_ok=5, first_nok=1)


def test_an_image_that_is_inspected_again_counts_once_by_its_latest_verdict(tmp_path: Path) -> None:
    line = Line(tmp_path / "results.sqlite")
    line.record(part("not_judged", id="a"), part("ok", id="b"), part("ok", id="c"))
    line.close()
    line = Line(tmp_path / "results.sqlite")
    line.at += timedelta(hours=8)
    line.record(part("ok", id="a"), part("ok", id="b"), part("nok", id="c"))
    line.at -= timedelta(hours=8)
    assert line.numbers() == PartNumbers(ok=2, nok=1, first_ok=2, first_nok=1)


def test_a_part_that_is_announced_again_counts_once_for_the_first_pass_yield(tmp_path: Path) -> None:
    line = Line(tmp_path / "results.sqlite")
    line.record(
        part("not_judged", name="SN1", announced=True),
        part("nok", name="SN1", announced=True),
        part("ok", name="SN1", announced=True),
        part("ok", name="SN2", announced=True),
    )
    numbers = line.numbers()
    assert (numbers.ok, numbers.nok, numbers.not_judged) == (2, 1, 1), "each result counts"
    assert numbers.first_pass_yield == 0.5


def test_a_result_that_is_not_stored_is_not_counted(tmp_path: Path) -> None:
    line = Line(tmp_path / "results.sqlite")

    def fail(sequence: int) -> list[Message]:
        raise RuntimeError("no message")

    also = line.counts.counting(part("ok"), "x", AT)
    with pytest.raises(RuntimeError):
        line.outbox.accept_together([Entry("line1", lambda _: [], also=also), Entry("line1", fail)])
    line.counts.refresh()
    assert line.numbers() == PartNumbers()


def test_numbers_survive_a_damaged_file(tmp_path: Path) -> None:
    """What is in memory is stored again with the next result."""
    path = tmp_path / "results.sqlite"
    line = Line(path)
    line.record(*(part("ok") for _ in range(5)))
    database = line.outbox._storage.database
    database.checkpoint()
    database._connection.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
    line.record(part("nok"))
    assert line.outbox.incidents(), "the file was replaced"
    assert line.numbers() == PartNumbers(ok=5, nok=1, first_ok=5, first_nok=1)
