"""Addresses of hosts and of name servers."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from agent.doctor.service.addresses import addresses, name_servers


def test_name_servers_are_those_of_resolv_conf(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("search plant\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\n")
    assert name_servers(tmp_path / "resolv.conf") == (ip_address("127.0.0.53"), ip_address("fe80::1"))
    assert name_servers(tmp_path / "none") == ()


def test_address_is_its_own_and_an_unknown_name_has_none() -> None:
    assert addresses("192.0.2.10") == (ip_address("192.0.2.10"),)
    assert addresses("broker.invalid") == ()
