"""The record of a calibration: its JSON form keeps everything, and old records stay readable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration import Calibration
from tests.calibration.lines import calibration, filled, origin, scores


def test_record_survives_json() -> None:
    values = scores(400, seed=3)
    values[[7, 9]] += 40
    made = filled(values).finish(**origin())
    read = Calibration.from_json(made.to_json())
    assert read == made
    assert read.id == made.id
    assert np.array_equal(read.scores, made.scores)
    assert np.array_equal(read.heat_level, made.heat_level)
    assert json.loads(made.to_json())["schema"] == "inspectd.calibration/1"


def test_record_keeps_what_was_kept_out_of_a_censored_window() -> None:
    window = filled(scores(400))
    window.keep_out_alarmed(21.5)
    made = window.finish(**origin())
    read = Calibration.from_json(made.to_json())
    assert read == made
    assert read.kept_out == ((400, 21.5),)
    assert read.counted_scores.size == read.kept_scores.size + 1
    assert read.counted_scores[-1] == 21.5
    assert "kept_out" not in json.loads(calibration().to_json())


def test_record_of_the_first_version_is_read_and_written_unchanged() -> None:
    """It was written before views were kept. Its id is a hash of its content, so no key may be added."""
    text = (Path(__file__).parent / "first-version.json").read_text()
    read = Calibration.from_json(text)
    assert read.id == "20260102T120000000Z-ef7bbcd2"
    assert read.camera_reference.view is None
    assert read.camera_reference.sharpness.middle > 0.0
    assert read.to_json() == text


def test_record_keeps_the_view_of_the_camera() -> None:
    made = calibration()
    before, after = made.camera_reference.view, Calibration.from_json(made.to_json()).camera_reference.view
    assert before is not None
    assert after == before
    np.testing.assert_array_equal(after.image, before.image)


@pytest.mark.parametrize("word", ["parts", "frames", "images"])
def test_record_keeps_the_users_word_for_frames(word: str) -> None:
    """It is in the promise, not among the keys, which older versions read too."""
    made = filled(scores(300), budget=f"1 per 100 {word}").finish(**origin())
    assert set(json.loads(made.to_json())["budget"]) == {"alarms", "per_seconds", "per_frames"}
    assert Calibration.from_json(made.to_json()).budget.span == f"100 {word}"
