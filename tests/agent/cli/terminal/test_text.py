"""Answers of an agent as text for people."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from agent.cli.terminal.text import (
    evaluation_lines,
    save_images,
    show_lines,
    snapshot_lines,
    status_lines,
    write_calibration_report,
)
from agent.core.errors import Permanent
from agent.core.records import Phase
from agent.messages.state import FilesPayload, ModelPayload, RulePayload, StatePayload
from agent.messages.status import DeliveryPayload, OutboxPayload
from engines.evaluation.metrics import Interval
from engines.evaluation.records import Evaluation
from tests.support.delivery import AT


def lines(**more: object) -> list[str]:
    """The lines for an armed camera."""
    counts = dict.fromkeys(("waiting", "waiting_bytes", "sequence", "dropped_pictures", "dropped_alarms"), 0)
    outbox = OutboxPayload(**counts, dead_letters=0, omitted_pictures=0)
    state = StatePayload(
        site="plant",
        camera="line1",
        at=AT,
        phase=Phase.ARMED,
        threshold=2.5,
        rule=RulePayload(k=1, n=1),
        calibration="c1",
        promise="At most one false alarm a day.",
        model=ModelPayload(name="parts", sha256="0" * 64),
        engine="onnxruntime",
        **more,  # type: ignore[arg-type]
    )
    result = {
        "site": "plant",
        "broker": "mqtt://broker",
        "cameras": {"line1": state.model_dump(mode="json", by_alias=True)},
        "delivery": DeliveryPayload(connected=True, outbox=outbox).model_dump(mode="json"),
    }
    return list(status_lines(result))


@pytest.mark.parametrize(
    ("shift", "words"), [(1.5, "1.5 standard deviations higher"), (-0.7, "0.7 standard deviations lower")]
)
def test_status_reports_drift_in_words(shift: float, words: str) -> None:
    (line,) = [line for line in lines(drift=True, shift=shift) if "DRIFT" in line]
    assert words in line
    assert "recalibrate" in line


def test_status_of_a_camera_without_drift_does_not_mention_it() -> None:
    assert not [line for line in lines() if "drift" in line.lower()]


def test_status_shows_the_engine_and_the_reason() -> None:
    (line,) = [line for line in lines(engine_reason="runs on every CPU") if "model parts" in line]
    assert line.endswith("model parts on onnxruntime (runs on every CPU)")


def test_status_shows_frames_that_the_rule_passed() -> None:
    (line,) = [line for line in lines(passed_by_rule=2) if "without an alarm" in line]
    assert line.strip() == "2 frames above the threshold without an alarm: the rule wants 1 of 1"
    assert not [line for line in lines() if "without an alarm" in line]


def test_calibration_is_shown_with_the_frames_that_count() -> None:
    """An effective sample size of 296.4 means that 296 of the 300 frames count as independent."""
    result = {
        "id": "c1",
        "created_at": "2026-03-01T12:00:00Z",
        "by": "anna",
        "promise": "At most one false alarm a day.",
        "threshold": 11.628,
        "method": "extrapolated",
        "budget": "1 per day",
        "rule": "2 of 3",
        "frames": 300,
        "left_out": 2,
        "effective_sample_size": 296.4,
        "engine": "onnxruntime",
        "bundle": "0123456789abcdef",
        "file": "/var/lib/inspectd/c1.json",
    }
    assert list(show_lines(result)) == [
        "calibration c1, 2026-03-01T12:00:00Z, by anna",
        "At most one false alarm a day.",
        "  threshold       11.628 (extrapolated)",
        "  budget, rule    1 per day; 2 of 3 frames",
        "  window          296 of 300 images count, 2 left out",
        "  engine, bundle  onnxruntime, 0123456789ab",
        "  file            /var/lib/inspectd/c1.json",
    ]


def snapshot(**changes: object) -> dict[str, Any]:
    """The answer to `snapshot` with its images inline."""
    image = {"media_type": "image/jpeg", "base64": base64.b64encode(b"jpeg").decode()}
    heatmap = {"media_type": "image/png", "base64": base64.b64encode(b"png").decode()}
    return {
        "camera": "line1",
        "captured_at": "2026-03-01T12:00:00.250Z",
        "age_seconds": 0.26,
        "frame": 7,
        "origin": None,
        "phase": "armed",
        "reason": None,
        "score": 3.5,
        "threshold": 2.0,
        "heat": "calibration",
        "pictures": {"heatmap": heatmap, "frame": image},
        **changes,
    }


def test_snapshot_is_compared_with_the_threshold() -> None:
    assert list(snapshot_lines(snapshot())) == [
        "line1: score 3.5, above the threshold 2; armed",
        "frame 7, captured 2026-03-01T12:00:00.250Z, 0.3 s ago",
    ]


def test_snapshot_before_the_calibration_explains_its_heatmap() -> None:
    first, *_, last = snapshot_lines(snapshot(threshold=None, phase="calibrating", heat="reference"))
    assert first == "line1: score 3.5, no threshold yet; calibrating"
    assert last == "not calibrated: 1.0 in the heatmap is the hottest spot of the bundle's good reference frames"


def test_images_of_a_snapshot_are_saved_by_camera_time_and_kind(tmp_path: Path) -> None:
    files = list(save_images(snapshot(), tmp_path / "out"))
    assert [(file.name, file.read_bytes()) for file in files] == [
        ("line1-20260301T120000.250Z-heatmap.png", b"png"),
        ("line1-20260301T120000.250Z-frame.jpg", b"jpeg"),
    ]


def test_report_of_a_calibration_that_cannot_be_read_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"c1.json: No such file .*same user as the agent"):
        write_calibration_report(tmp_path / "c1.json", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("auroc", "remark"),
    [
        (Interval(0.9, 0.85, 0.94), ""),
        (Interval(0.55, 0.49, 0.61), ", no better than chance"),
        (Interval(0.47, 0.4, 0.55), ", no better than chance"),
        (Interval(0.3, 0.2, 0.4), ", worse than chance: good parts score higher"),
    ],
)
def test_an_evaluation_that_chance_explains_is_reported_as_such(auroc: Interval, remark: str) -> None:
    figures = dict.fromkeys(("at_threshold", "pixels"))
    result = Evaluation(
        "0" * 64,
        "onnxruntime",
        60,
        60,
        auroc,
        auroc,
        0.5,
        **figures,
        masks_missing=0,
        skipped=(),  # type: ignore[arg-type]
    )
    (line,) = [line for line in evaluation_lines(result) if "AUROC" in line]
    assert line.endswith(f"){remark}")


def test_status_reports_the_files_that_were_not_inspected() -> None:
    counts = FilesPayload(quarantined=2, overwritten=0, skipped=3, latest_quarantined="/parts/b.png: empty file")
    assert [line.strip() for line in lines(files=counts) if "files" in line] == [
        "files in quarantine: 2, the latest: /parts/b.png: empty file",
        "files of other formats, and folders below, that were skipped: 3",
    ]
    assert not [line for line in lines(files=FilesPayload()) if "files" in line]
