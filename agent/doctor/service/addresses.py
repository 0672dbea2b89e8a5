"""Addresses of hosts and of name servers, as this machine knows them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from pathlib import Path

from agent.doctor.service.unit_rights import IpAddress

RESOLV_CONF = Path("/etc/resolv.conf")


def addresses(host: str) -> Sequence[IpAddress]:
    """The addresses of a host name, or the address itself; empty if the name cannot be resolved."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found)


def name_servers(file: Path = RESOLV_CONF) -> Sequence[IpAddress]:
    """The name servers in resolv.conf; empty if there is no such file."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return ()
    servers = (line.split()[1].partition("%")[0] for line in lines if line.startswith("nameserver "))
    return tuple(ipaddress.ip_address(server) for server in servers if is_address(server))


def is_address(host: str) -> bool:
    """True for an address, False for a name.

    >>> is_address("192.0.2.10"), is_address("broker.plant")
    (True, False)
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
