"""Documents on the wire."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone

import pytest

from agent.core.errors import Permanent
from agent.core.records import Region
from agent.messages.alarm import AlarmPayload
from agent.messages.base import parse, utc_text
from agent.messages.command import RecalibrateRequest, parse_request
from tests.support.delivery import AT, alarm_record, document

FIELDS = [
    "schema", "id", "sequence", "event", "kind", "site", "camera", "captured_at", "frame", "score", "threshold", "rule",
    "calibration", "model", "engine", "regions", "evidence", "reason",
]  # fmt: skip


def test_alarm_has_the_fields_of_its_contract_in_order() -> None:
    alarm = json.loads(document("a1", 3).payload)
    assert list(alarm) == FIELDS
    assert (alarm["schema"], alarm["captured_at"]) == ("inspectd.alarm/1", "2026-03-01T12:00:00.250Z")


def test_times_are_utc_with_milliseconds_whatever_the_zone() -> None:
    zone = timezone(timedelta(hours=2))
    assert utc_text(datetime(2026, 3, 1, 14, 0, 0, 999, tzinfo=zone)) == "2026-03-01T12:00:00.000Z"
    assert utc_text(datetime.fromtimestamp(0, timezone.utc)) == "1970-01-01T00:00:00.000Z"


def test_alarm_comes_back_as_it_was() -> None:
    regions = [Region(1, 2, 3, 4, 5.25)]
    alarm = AlarmPayload.of(alarm_record("a1"), sequence=9, site="plant", regions=regions)
    assert parse(AlarmPayload, alarm.to_bytes()) == alarm
    assert alarm.regions[0].peak == 5.25


def test_document_of_a_later_version_with_more_fields_is_read() -> None:
    later = json.loads(document("a1", 1).payload) | {"added_later": [1, 2]}
    assert parse(AlarmPayload, json.dumps(later).encode()).id == "a1"


@pytest.mark.parametrize("score", [math.nan, math.inf, -1.0])
def test_score_that_is_no_score_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="score"):
        AlarmPayload.model_validate(json.loads(document("a1", 1).payload) | {"score": score})


def test_time_without_zone_is_refused() -> None:
    with pytest.raises(Permanent, match="captured_at"):
        parse(AlarmPayload, document("a1", 1).payload.replace(b".250Z", b""))
    assert AT.tzinfo is not None


def test_empty_request_asks_with_the_defaults() -> None:
    assert parse_request("recalibrate", b"") == RecalibrateRequest()
    assert parse_request("recalibrate", b" \n ") == RecalibrateRequest()


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b'{"frames": 3}', "command recalibrate: frames: Input should be greater than or equal to 20, got 3"),
        (b'{"frames": "300"}', 'command recalibrate: frames: Input should be a valid integer, got "300"'),
        (b'{"frame": 300}', "command recalibrate: frame: Extra inputs are not permitted, got 300"),
    ],
)
def test_wrong_request_names_field_value_and_what_is_wanted(payload: bytes, line: str) -> None:
    with pytest.raises(Permanent) as caught:
        parse_request("recalibrate", payload)
    assert str(caught.value) == line
