"""The section `[page]`: where the page for people at the line is served, and whom it admits."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from agent.core.section import Section
from agent.settings.paths import CREDENTIAL_STORE, SERVICE_SETTINGS

MAX_ADDRESS = 500


def _address(address: str) -> str:
    """Raises ValueError for what a browser cannot open.

    >>> _address("line1.example:8470")
    Traceback (most recent call last):
    ValueError: wanted an address such as https://line1.example:8470/
    """
    if not re.fullmatch(r"https?://[^/@\s]+(/\S*)?", address) or len(address) > MAX_ADDRESS:
        raise ValueError("wanted an address such as https://line1.example:8470/")
    return address


class ServerSettings(Section):
    """Where a page is served, and whom it admits: a port or a Unix socket; neither: off."""

    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    socket: Path | None = None
    host: str = "127.0.0.1"
    """Address to listen at; one that other machines reach needs a certificate."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    names: tuple[str, ...] = ()
    """Further host names under which browsers open the page."""
    accounts_file: Path | None = None
    """None: `page-accounts.json` in the state directory; for a service, a credential."""
    idle_minutes: Annotated[float, Field(gt=0.0, le=1440.0)] = 30.0
    """A person who does nothing for so long is logged out."""
    session_hours: Annotated[float, Field(gt=0.0, le=168.0)] = 12.0
    """And so long after the login in any case."""
    view_without_login: bool = False
    """Anybody who reaches the page may look, for a screen at the line; actions need an account all the same."""

    @property
    def wanted(self) -> bool:
        """True if the settings have a port or a socket."""
        return self.port is not None or self.socket is not None

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the page."""
        if self.socket is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _safe(self) -> ServerSettings:
        if self.port is not None and self.socket is not None:
            raise ValueError("wanted either port (such as 8470) or socket (such as /run/inspectd/page.sock)")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("wanted certificate_file and key_file together")
        if self.wanted and not self.local and self.certificate_file is None:
            raise ValueError(
                f"host: got '{self.host}', which other machines reach; wanted certificate_file and key_file for it, or "
                "the default 127.0.0.1 behind a proxy with TLS"
            )
        return self


class PageSettings(ServerSettings):
    """The page for people at the line."""

    address: Annotated[str, AfterValidator(_address)] | None = None
    """Where browsers in the plant open the page; named in `status`, so that the page for many agents links to it."""


def page_accounts_file(page: PageSettings, state_directory: Path, config: Path) -> Path:
    """The file of the accounts; for a service, a credential, since its user cannot read files of root."""
    if page.accounts_file is not None:
        return page.accounts_file
    if config.absolute().parent == SERVICE_SETTINGS:
        return CREDENTIAL_STORE / f"inspectd.{config.stem}.page-accounts"
    return state_directory / "page-accounts.json"
