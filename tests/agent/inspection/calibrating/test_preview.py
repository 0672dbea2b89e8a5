"""The preview of a new threshold, on a real score log."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.inspection.calibrating.preview import preview_calibration
from agent.inspection.calibration_plan import CalibrationPlan
from agent.inspection.outcome import Candidate
from calibration import Calibration, ScoreLog
from tests.calibration.lines import calibration

NOW = 1_800_000_000.0


@pytest.fixture
def current() -> Calibration:
    return calibration(seed=1)


def candidate(made: Calibration) -> Candidate:
    plan = CalibrationPlan(
        frames=made.scores.size,
        max_frames=made.scores.size,
        budget=made.budget,
        rule=made.rule,
        confidence=0.95,
        require_certificate=False,
        clear_after_seconds=1.0,
        dry_run=True,
    )
    return Candidate(made, plan)


def write_scores(directory: Path, made: Calibration, alarms: int, *, hours_ago: float = 20.0) -> None:
    """A score log with good scores and so many separate alarms under `made`."""
    log = ScoreLog(directory)
    good, bad = [0.0] * (made.quiet_frames + made.rule.n), [2.0 * made.threshold.value] * made.rule.n
    for index, score in enumerate(good + (bad + good) * alarms):
        log.append(NOW - hours_ago * 3600.0 + 0.05 * index, index, score, score)
    log.close()


@pytest.mark.parametrize(("alarms", "words"), [(0, "0 alarms"), (1, "1 alarm"), (3, "3 alarms")])
def test_preview_counts_the_alarms_of_the_last_day_in_words(
    tmp_path: Path, current: Calibration, alarms: int, words: str
) -> None:
    write_scores(tmp_path, current, alarms)
    preview = preview_calibration(tmp_path, None, candidate(current), NOW)
    assert (preview["alarms"], preview["alarms_before"], preview["dry_run"]) == (alarms, None, True)
    assert preview["sentence"] == f"with this threshold, the last 24 h of scores give {words}"


def test_preview_compares_with_the_calibration_in_force(tmp_path: Path, current: Calibration) -> None:
    write_scores(tmp_path, current, 2)
    preview = preview_calibration(tmp_path, current, candidate(current), NOW)
    assert preview["sentence"].endswith("give 2 alarms instead of 2")


def test_preview_leaves_out_scores_of_earlier_days(tmp_path: Path, current: Calibration) -> None:
    write_scores(tmp_path, current, 2, hours_ago=25.0)
    assert preview_calibration(tmp_path, current, candidate(current), NOW)["alarms"] == 0
