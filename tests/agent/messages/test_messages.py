"""Requests of commands."""

from __future__ import annotations

import pytest

from agent.core.errors import Permanent
from agent.messages.command import RecalibrateRequest, parse_request


def test_an_empty_request_means_the_defaults() -> None:
    assert parse_request(RecalibrateRequest, b"") == RecalibrateRequest()
    assert parse_request(RecalibrateRequest, b" \n ") == RecalibrateRequest()


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b'{"frames": 3}', "command recalibrate: frames: Input should be greater than or equal to 20, got 3"),
        (b'{"frames": "300"}', 'command recalibrate: frames: Input should be a valid integer, got "300"'),
        (b'{"frame": 300}', "command recalibrate: frame: Extra inputs are not permitted, got 300"),
    ],
)
def test_a_wrong_request_is_rejected_with_field_value_and_what_is_wanted(payload: bytes, line: str) -> None:
    with pytest.raises(Permanent) as caught:
        parse_request(RecalibrateRequest, payload)
    assert str(caught.value) == line
