"""Events about drift and engines."""

from __future__ import annotations

import json

import pytest

from agent.messages.event import drift_event, drift_sentence, engine_event
from tests.support.delivery import AT


@pytest.mark.parametrize(
    ("shift", "words"),
    [(1.25, "1.2 standard deviations higher"), (-0.84, "0.8 standard deviations lower")],
)
def test_drift_in_words_gives_size_direction_and_what_to_do(shift: float, words: str) -> None:
    sentence = drift_sentence(shift)
    assert words in sentence
    assert sentence.endswith("then `inspectd recalibrate`, with --fresh if all parts on the line are good")
    assert ("more false alarms" in sentence) == (shift > 0)


def test_drift_event_has_the_shift_and_the_calibration() -> None:
    event = json.loads(drift_event("e1", "plant", "cam", 1.23456, "c1", AT).to_bytes())
    assert (event["schema"], event["event"], event["shift"], event["calibration"]) == (
        "inspectd.event/1",
        "drift",
        1.235,
        "c1",
    )
    assert event["text"] == drift_sentence(1.235)


def test_engine_event_names_the_engine_and_every_rejected_one() -> None:
    event = engine_event("e1", "plant", "cam", "onnxruntime", ["tensorrt: no GPU", "openvino: too slow"], AT)
    assert (event.event, event.shift, event.calibration) == ("engine", None, None)
    assert event.text.startswith("runs on onnxruntime: tensorrt: no GPU; openvino: too slow; ")
