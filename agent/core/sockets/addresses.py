"""Addresses in settings: where a server listens, and who may connect."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator

LOOPBACK = ("127.0.0.0/8", "::1/128")


def _listen_address(text: str) -> str:
    """Raises ValueError unless it is an IP address.

    >>> _listen_address("localhost")
    Traceback (most recent call last):
    ValueError: wanted an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            "wanted an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
        ) from None
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("wanted an IP address or a network, such as 192.0.2.10 or 192.0.2.0/28") from None
    return text


ListenAddress = Annotated[str, AfterValidator(_listen_address)]
"""An IP address of this machine."""

Network = Annotated[str, AfterValidator(_network)]
"""An IP address or a network of clients."""
