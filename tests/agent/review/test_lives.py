"""The lives of calibrations, one after the other: bursts of false alarms under one count for the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.review.journal import Journal
from agent.review.lives import Lives
from agent.review.promise import PromiseLife
from agent.review.records import Exposure, Judged
from calibration import Calibration
from tests.support.judged import AT, calibration_for, judgement, open_journal, record


@pytest.fixture
def journal_and_lives(tmp_path: Path) -> tuple[Journal, Lives]:
    journal, database, _ = open_journal(tmp_path)
    return journal, Lives(database, journal, lambda *_: None, lambda: AT)


def live(lives: Lives, calibration: Calibration, *alarms: int, until: int) -> PromiseLife:
    """A calibration in production for so many frames, with alarms at these."""
    life = PromiseLife(calibration)
    lives.begin("line1", life)
    for at in alarms:
        lives.add(record(seconds=at / 20, frames=at, calibration=calibration.id), life, Exposure(at / 20, at))
    life.run = Exposure(until / 20, until)
    lives.look()
    lives.store("line1")
    return life


def another(calibration: Calibration, days: int) -> Calibration:
    return replace(calibration, id="", created_at=calibration.created_at + timedelta(days=days))


def certified(life: PromiseLife) -> bool:
    return life.certificate().certified


def test_bursts_under_an_earlier_calibration_delay_the_certificate_of_the_next(
    journal_and_lives: tuple[Journal, Lives],
) -> None:
    _, lives = journal_and_lives
    # Bursts of three alarms within a hundredth of the mean interval that the budget allows, 10,000 frames.
    first = calibration_for("1 per 10000 frames")
    live(lives, first, 20_000, 20_020, 20_040, 90_000, 90_020, 90_040, until=200_000)
    life = live(lives, another(first, 1), until=100_000)
    assert not certified(life)
    life.run = Exposure(10_000.0, 200_000)
    lives.look()
    assert certified(life)


def test_single_alarms_under_an_earlier_calibration_do_not(journal_and_lives: tuple[Journal, Lives]) -> None:
    _, lives = journal_and_lives
    first = calibration_for("1 per 10000 frames")
    live(lives, first, 20_000, 50_000, 80_000, 110_000, 140_000, 170_000, until=200_000)
    assert certified(live(lives, another(first, 1), until=50_000))


def test_bursts_that_were_defects_do_not_count(journal_and_lives: tuple[Journal, Lives]) -> None:
    journal, lives = journal_and_lives
    first = calibration_for("1 per 10000 frames")
    live(lives, first, 20_000, 20_020, 20_040, 90_000, 90_020, 90_040, until=200_000)
    for known in journal.of_calibration("line1", first.id):
        journal.judge(judgement(known.alarm, Judged.TRUE))
    assert certified(live(lives, another(first, 1), until=60_000))


def test_alarms_of_a_broken_promise_do_not_count(journal_and_lives: tuple[Journal, Lives]) -> None:
    """The lens was dirty for hours; after the recalibration this is no reason to expect bursts."""
    _, lives = journal_and_lives
    first = calibration_for("1 per 10000 frames")
    broken = live(lives, first, *range(20_000, 40_000, 60), until=200_000)
    assert broken.broken is not None
    assert certified(live(lives, another(first, 1), until=60_000))
