"""The section `[opcua]`: the OPC UA server beside the agent, its certificate, and the clients that it trusts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from agent.core.section import Section
from agent.core.sockets.addresses import ListenAddress
from agent.settings.paths import CREDENTIAL_STORE

# Where systemd shows credentials to a service while it runs.
CREDENTIALS = Path("/run/credentials")

# The port that IANA has registered for OPC UA.
DEFAULT_PORT = 4840


class OpcuaSettings(Section):
    """Without a certificate, there is no OPC UA server. Every client needs a trusted certificate and an account."""

    listen: ListenAddress = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = DEFAULT_PORT
    certificate_file: Path | None = None
    """PEM or DER, with an application URI; `inspectd opcua certificate` makes one."""
    key_file: Path | None = None
    """RSA, without a password."""
    trusted_directory: Path | None = None
    """Certificates of clients, or of the CAs that issue them (.pem, .der, .crt, .cer), and revocation lists (.crl)."""
    rejected_directory: Path | None = None
    """Where certificates of rejected clients are left; None: `opcua-rejected` in the state directory."""
    accounts_file: Path | None = None
    """None: the accounts of the page."""

    @property
    def wanted(self) -> bool:
        """Whether there is an OPC UA server."""
        return self.certificate_file is not None

    @model_validator(mode="after")
    def _complete(self) -> OpcuaSettings:
        files = {
            "certificate_file": self.certificate_file,
            "key_file": self.key_file,
            "trusted_directory": self.trusted_directory,
        }
        missing = [name for name, path in files.items() if path is None]
        if missing and self.model_fields_set:
            raise ValueError(f"got no {missing[0]}; wanted certificate_file, key_file and trusted_directory together")
        return self

    def kept_key(self, config: Path) -> Path | None:
        """Where people keep the key: that of a service is a credential, which systemd passes on."""
        key = self.key_file
        if key is None or not key.is_relative_to(CREDENTIALS):
            return key
        return CREDENTIAL_STORE / f"inspectd.{config.stem}.{key.name}"

    def rejected(self, state_directory: Path) -> Path:
        """Where certificates of rejected clients are left; a service has a directory of its own for them."""
        if self.rejected_directory is not None:
            return self.rejected_directory
        own = os.environ.get("STATE_DIRECTORY")
        return Path(own) / "rejected" if own else state_directory / "opcua-rejected"
