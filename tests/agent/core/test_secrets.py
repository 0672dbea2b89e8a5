"""A URL in a message shows the place, never a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.secrets import redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.7/line1", "rtsp://10.0.0.7/line1"),
        ("rtsp://admin:secret1@10.0.0.7:554/line1", "rtsp://***@10.0.0.7:554/line1"),
        ("rtsp://admin:ge@he/im@10.0.0.7/line1", "rtsp://***@10.0.0.7/line1"),
        ("http://10.0.0.7/v.cgi?user=a&pwd=secret1&ch=2", "http://10.0.0.7/v.cgi?user=a&pwd=***&ch=2"),
        ("http://10.0.0.7/v.cgi?ch=2&PassWord=secret1", "http://10.0.0.7/v.cgi?ch=2&PassWord=***"),
        ("rtsp://10.0.0.7/user=admin_password=secret1_channel=1.sdp", "rtsp://10.0.0.7/user=admin_password=***"),
        ("mqtt://line:secret1@broker:1883", "mqtt://***@broker:1883"),
        ("line:secret1@broker", "***@broker"),
        ("line1@2.png", "line1@2.png"),
        ("http://10.0.0.7/v?access_token=secret1", "http://10.0.0.7/v?access_token=***"),
    ],
)
def test_redacted_url_shows_the_place_without_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown


@given(
    user=st.sampled_from(["", "admin", "a b", "ä"]),
    word=st.text(max_size=12).map(lambda text: f"<{text}>"),
)
def test_redacted_url_contains_no_password(user: str, word: str) -> None:
    assert word not in redacted(f"rtsp://{user}:{word}@camera/line")
    assert redacted(f"rtsp://{user}:{word}@camera/line").endswith("@camera/line")
