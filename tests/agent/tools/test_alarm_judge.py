"""A threshold from images, by the rule and budget of a camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.settings import Settings, load_settings
from agent.tools.alarm_judge import AlarmJudge, judge_of_settings
from calibration import Budget, Rule, calibrate

FOLDER = '{ kind = "folder", path = "/parts" }'
VIDEO = '{ kind = "video", path = "/line.mp4", frames_per_second = 20.0 }'


def good(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(4.0, size=count).astype(np.float32)


def settings(folder: Path, *cameras: str) -> Settings:
    file = folder / "inspectd.toml"
    sections = [f"[cameras.{name}]\nbundle = \"/{name}.bundle\"\nsource = {source}\n{more}\n"
                for name, source, more in (camera.split("|") for camera in cameras)]  # fmt: skip
    file.write_text('site = "plant"\n' + "".join(sections))
    return load_settings(file)


def test_threshold_is_the_agents_own_calibration_of_every_other_part() -> None:
    scores = good(800)
    wanted = calibrate(
        scores[::2], frames_per_second=1.0, budget=Budget(alarms=1, per_frames=100), rule=Rule(1, 1),
        quiet_frames=0, parts=True,
    )  # fmt: skip
    at = AlarmJudge.of_budget("1 per 100 parts")(scores, scores[:50] + 30)
    assert at is not None
    assert at.threshold == wanted.value
    assert at.false_alarm_rate == np.mean(scores[1::2] > wanted.value)
    assert (at.normal, at.abnormal, at.recall, at.counted) == (400, 50, 1.0, "parts")
    assert at.how == "1 false alarm per 100 parts, rule 1 of 1"


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (300, "could be certified from all of them: 0 alarms in 300 parts"),
        (298, "could not be certified from all of them: 298 parts are too few to promise at most 1 false alarm per 100 "
              "parts; about 299 good parts would be enough"),
    ],
)  # fmt: skip
def test_certificate_counts_all_normal_images(count: int, wanted: str) -> None:
    at = AlarmJudge.of_budget("1 per 100 parts")(good(count), good(20) + 30)
    assert at is not None
    assert at.certificate.removeprefix("1 false alarm per 100 parts ").startswith(wanted)


@pytest.mark.parametrize("scores", [good(98), np.ones(160, np.float32)])
def test_too_few_or_equal_scores_give_no_threshold(scores: np.ndarray) -> None:
    assert AlarmJudge.of_budget("1 per 100 parts")(scores, scores) is None


@pytest.mark.parametrize(("budget", "wanted"), [("1 per day", "in parts"), ("few", "wanted")])
def test_budget_per_time_is_rejected(budget: str, wanted: str) -> None:
    with pytest.raises(Permanent, match=wanted):
        AlarmJudge.of_budget(budget)


def test_rule_of_a_camera_that_judges_frames_needs_successive_images(tmp_path: Path) -> None:
    """2 of 3 with single bad images: none of them alarms, as on the line."""
    judge = judge_of_settings(settings(tmp_path, f"top|{VIDEO}|"), Path("/top.bundle"))
    assert (judge.rule, judge.parts, judge.quiet_frames) == (Rule(2, 3), False, 40)
    alone = good(300, seed=1)
    alone[1::3] += 200
    at = judge(good(600), alone)
    assert at is not None
    assert (at.recall, at.counted) == (0.0, "groups of 3 successive images")
    twice = alone.copy()
    twice[2::3] += 200
    assert judge(good(600), twice).recall == 1.0  # type: ignore[union-attr]


def test_images_of_a_part_count_once(tmp_path: Path) -> None:
    camera = f"top|{VIDEO}|parts = {{ frames_per_part = 4 }}\ncalibration = {{ false_alarms = '1 per 100 parts' }}"
    judge = judge_of_settings(settings(tmp_path, camera), Path("/top.bundle"))
    bad = good(43, seed=2)
    bad[::8] += 200
    at = judge(good(4 * 300), bad)
    assert at is not None
    assert (at.normal, at.abnormal, at.counted) == (150, 10, "parts")
    assert at.recall == 0.5
    assert "from all of them: 0 alarms in 300 parts" in at.certificate


def test_budget_in_time_uses_the_rate_of_the_source(tmp_path: Path) -> None:
    judge = judge_of_settings(settings(tmp_path, f"top|{VIDEO}|"), Path("/top.bundle"))
    assert (judge.budget.words, judge.frames_per_second) == ("1 false alarm per shift", 20.0)


def test_budget_in_time_without_a_rate_names_the_way_out(tmp_path: Path) -> None:
    camera = 'top|{ kind = "camera", device = "/dev/video0" }|'
    with pytest.raises(Permanent, match="no frames_per_second; wanted --false-alarms '1 per 1000 frames'"):
        judge_of_settings(settings(tmp_path, camera), Path("/top.bundle"))
    judge = judge_of_settings(settings(tmp_path, camera), Path("/top.bundle"), false_alarms="1 per 1000 frames")
    assert judge.budget.words == "1 false alarm per 1,000 frames"


def test_camera_is_found_by_its_bundle_or_named(tmp_path: Path) -> None:
    both = settings(tmp_path, f"top|{FOLDER}|", f"side|{VIDEO}|")
    assert judge_of_settings(both, Path("/top.bundle")).parts
    assert not judge_of_settings(both, Path("/other.bundle"), "side").parts
    with pytest.raises(Permanent, match="cameras side, top judge differently; wanted one of them as --camera"):
        judge_of_settings(both, Path("/other.bundle"))
    with pytest.raises(Permanent, match="camera: got 'left', wanted one of top, side"):
        judge_of_settings(both, Path("/top.bundle"), "left")


def test_fewer_images_than_the_rule_takes_are_rejected(tmp_path: Path) -> None:
    judge = judge_of_settings(settings(tmp_path, f"top|{VIDEO}|"), Path("/top.bundle"))
    with pytest.raises(Permanent, match="abnormal: got 2 images, wanted at least 3 for the rule 2 of 3"):
        judge(good(600), good(2))
