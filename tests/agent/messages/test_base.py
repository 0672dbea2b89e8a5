"""Timestamps, and reading a received document."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from agent.core.errors import Permanent
from agent.messages.alarm import AlarmPayload
from agent.messages.base import parse, utc_text
from tests.support.delivery import document


def test_times_are_utc_with_milliseconds_from_any_zone() -> None:
    zone = timezone(timedelta(hours=2))
    assert utc_text(datetime(2026, 3, 1, 14, 0, 0, 999, tzinfo=zone)) == "2026-03-01T12:00:00.000Z"
    assert utc_text(datetime.fromtimestamp(0, timezone.utc)) == "1970-01-01T00:00:00.000Z"


def test_a_document_of_a_later_version_with_more_fields_is_read() -> None:
    later = json.loads(document("a1", 1).payload) | {"added_later": [1, 2]}
    assert parse(AlarmPayload, json.dumps(later).encode()).id == "a1"


def test_a_time_without_a_zone_is_rejected() -> None:
    with pytest.raises(Permanent, match="captured_at"):
        parse(AlarmPayload, document("a1", 1).payload.replace(b".250Z", b""))


@pytest.mark.parametrize(
    "payload", [b"", b"not json", b"[]", b'{"id": "' + b"x" * 1000 + b'"}', b'{"event": "\\u0000"}']
)
def test_a_document_that_does_not_fit_is_rejected_in_one_short_line(payload: bytes) -> None:
    with pytest.raises(Permanent, match="not a AlarmPayload: ") as caught:
        parse(AlarmPayload, payload)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
