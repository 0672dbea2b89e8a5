"""URLs without their secrets, for messages and logs."""

from __future__ import annotations

import re

# Many cameras take the password in another place: /video?user=admin&password=1234, or
# /user=admin_password=1234_channel=1.sdp.
_SECRET_VALUE = re.compile(r"(?i)((?:pass|pwd|token|secret|key|auth)[\w-]*=)[^&;/?]*")


def redacted(url: str) -> str:
    """The URL without user, password and secrets in its query. Other text stays as it is.

    >>> redacted("rtsp://admin:1234@10.0.0.7:8554/line1?password=x&channel=1")
    'rtsp://***@10.0.0.7:8554/line1?password=***&channel=1'
    >>> redacted("admin:12/34@broker"), redacted("line@1")
    ('***@broker', 'line@1')
    """
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    # A password may contain "@" or "/", since people do not escape them: hide everything before the last "@".
    login, at, place = rest.rpartition("@")
    shown = f"***@{place}" if at and login and (separator or ":" in login) else rest
    return scheme + separator + _SECRET_VALUE.sub(r"\1***", shown)
