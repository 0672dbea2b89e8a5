"""Which requests are admitted before anything else looks at them."""

from __future__ import annotations

import socket

import pytest

pytest.importorskip("starlette", reason="the extra page is not installed")

from agent.page.security.guard import POLICY, Guard


async def nothing(*_: object) -> None:
    """No application."""


GUARD = Guard(nothing, names=["Line1.Plant.Example."])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8470",
        "127.0.0.1:8470",
        "10.1.2.3",
        "[::1]:8470",
        "line1.plant.example",
        "LINE1.plant.example:443",
    ],
)
def test_own_names_and_addresses_are_known(host: str) -> None:
    assert GUARD.fault("GET", {"host": host}) is None


def test_name_of_the_machine_is_known() -> None:
    assert GUARD.fault("GET", {"host": f"{socket.gethostname()}:8470"}) is None


@pytest.mark.parametrize("host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "\0", "[::1"])
def test_another_host_is_rejected(host: str) -> None:
    """A site that changes its own address to this machine's would otherwise be this page's origin."""
    fault = GUARD.fault("GET", {"host": host})
    assert (fault is None) == (host == "[::1")
    assert fault is None or fault[0] == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost"},
        {"origin": "http://localhost:8471"},
        {"origin": "\0"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_change_from_another_origin_is_rejected(headers: dict[str, str]) -> None:
    fault = GUARD.fault("POST", {"host": "localhost:8470", **headers})
    assert fault is not None
    assert fault[0] == 403


def test_change_from_this_page_is_admitted_also_behind_a_proxy_with_tls() -> None:
    assert GUARD.fault("POST", {"host": "localhost:8470", "origin": "http://localhost:8470"}) is None
    own = {"host": "line1.plant.example", "origin": "https://line1.plant.example", "sec-fetch-site": "same-origin"}
    assert GUARD.fault("POST", own) is None


def test_policy_allows_no_inline_script_and_no_other_host() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert "*" not in POLICY
    assert "default-src 'none'" in POLICY
