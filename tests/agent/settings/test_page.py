"""The section `[page]`: off by default, and safe where other machines reach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.settings.load import load_settings


def test_page_is_off_by_default_and_local_if_it_is_on(config: Path) -> None:
    assert not load_settings(config).page.wanted
    page = load_settings(config, ["page.port=8470"]).page
    assert page.wanted
    assert page.local
    assert not page.view_without_login


def test_page_is_in_one_place_only(config: Path) -> None:
    with pytest.raises(Permanent, match=r"page: wanted either port .* or socket"):
        load_settings(config, ["page.port=8470", "page.socket=page.sock"])


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::", "line1.example"])
def test_address_that_others_reach_needs_a_certificate(config: Path, host: str) -> None:
    with pytest.raises(Permanent, match=r"page: host: got '.*', which other machines reach; wanted certificate_file"):
        load_settings(config, ["page.port=8470", f"page.host='{host}'"])
    files = ["page.certificate_file=page.pem", "page.key_file=page.key"]
    page = load_settings(config, ["page.port=8470", f"page.host='{host}'", *files]).page
    assert page.certificate_file == config.parent / "page.pem"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_address_of_this_machine_alone_needs_none(config: Path, host: str) -> None:
    assert load_settings(config, ["page.port=8470", f"page.host='{host}'"]).page.local


def test_certificate_without_key_is_rejected(config: Path) -> None:
    with pytest.raises(Permanent, match="wanted certificate_file and key_file together"):
        load_settings(config, ["page.port=8470", "page.certificate_file=page.pem"])


@pytest.mark.parametrize("address", ["line1.example:8470", "javascript:alert(1)", "https://anna:secret@line1.example/"])
def test_address_that_is_announced_is_one_that_browsers_open(config: Path, address: str) -> None:
    with pytest.raises(Permanent, match=r"page\.address = .*: wanted an address such as https://"):
        load_settings(config, [f"page.address='{address}'"])
    address = "https://line1.example:8470/"
    assert load_settings(config, [f"page.address='{address}'"]).page.address == address
