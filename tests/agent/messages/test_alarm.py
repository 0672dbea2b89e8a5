"""The alarm document."""

from __future__ import annotations

import json
import math

import pytest

from agent.core.records import Region
from agent.messages.alarm import AlarmPayload
from agent.messages.base import parse
from tests.support.delivery import alarm_record, document

FIELDS = [
    "schema", "id", "sequence", "event", "kind", "site", "camera", "captured_at", "frame", "score", "threshold", "rule",
    "calibration", "model", "engine", "regions", "evidence", "reason", "origin", "crop", "epoch", "clock",
    "product",
]  # fmt: skip


def test_alarm_has_the_fields_of_its_contract_in_order() -> None:
    alarm = json.loads(document("a1", 3).payload)
    assert list(alarm) == FIELDS
    assert (alarm["schema"], alarm["captured_at"]) == ("inspectd.alarm/1", "2026-03-01T12:00:00.250Z")


def test_alarm_is_read_back_unchanged() -> None:
    regions = [Region(1, 2, 3, 4, 5.25)]
    alarm = AlarmPayload.of(alarm_record("a1"), sequence=9, site="plant", regions=regions)
    assert parse(AlarmPayload, alarm.to_bytes()) == alarm
    assert alarm.regions[0].peak == 5.25


@pytest.mark.parametrize("score", [math.nan, math.inf, -1.0])
def test_a_score_that_is_no_number_or_negative_is_rejected(score: float) -> None:
    with pytest.raises(ValueError, match="score"):
        AlarmPayload.model_validate(json.loads(document("a1", 1).payload) | {"score": score})
