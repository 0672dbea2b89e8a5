"""The section of a webhook: `[outputs.NAME]` with `kind = "webhook"`."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from agent.core.errors import Temporary
from agent.core.section import Host
from agent.outputs.settings import Content, OutputSection

DEFAULT_PORTS = {"http": 80, "https": 443}


def _address(url: str) -> str:
    """Raises ValueError; the text has no part of the URL, which may hold a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("wanted https://host/path, such as https://mes.example/inspectd") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0 or not url.isascii() or " " in url:
        raise ValueError("wanted https://host/path, such as https://mes.example/inspectd")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("wanted an address without a login and without #; messages are signed with secret_file")
    if parts.scheme == "http" and not _is_local(parts.hostname):
        raise ValueError("wanted https://; http:// is only for receivers on this machine")
    return url


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class WebhookSettings(OutputSection):
    """Where messages are posted, and how they are signed."""

    kind: Literal["webhook"] = "webhook"
    url: Annotated[str, AfterValidator(_address)]
    secret_file: Path | None = None
    """One line: the secret that signs; None: the systemd credential `NAME-secret`, by the name of the output."""
    send: Annotated[tuple[Content, ...], Field(min_length=1)] = ("alarms", "results", "verdicts")
    """What is sent."""
    ca_file: Path | None = None
    """PEM. None: the CAs of the system."""
    certificate_file: Path | None = None
    """PEM: a client certificate; its key is in `key_file` or in the same file."""
    key_file: Path | None = None
    timeout_seconds: Annotated[float, Field(gt=0.0, le=120.0)] = 10.0
    """For the connection, and for each step of request and response."""

    @model_validator(mode="after")
    def _certificates_need_tls(self) -> WebhookSettings:
        if not self.tls and any((self.ca_file, self.certificate_file, self.key_file)):
            raise ValueError("got certificates for http://, wanted https:// with certificates")
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("got key_file without certificate_file, wanted both")
        return self

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    @property
    def host(self) -> Host:
        """Of the receiver."""
        parts = urlsplit(self.url)
        return Host(str(parts.hostname), parts.port or DEFAULT_PORTS[parts.scheme])

    @property
    def target(self) -> str:
        """Path and query."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def hosts(self) -> list[Host]:
        return [self.host]

    def secrets(self) -> list[Path]:
        return [path for path in (self.secret_file, self.key_file) if path is not None]

    def tls_context(self) -> ssl.SSLContext | None:
        """A context from the current files, None without TLS. Raises Temporary for a file that cannot be used."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate_file is not None:
                key = None if self.key_file is None else str(self.key_file)
                context.load_cert_chain(str(self.certificate_file), key, password=_no_password)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise Temporary(f"ca_file, certificate_file or key_file cannot be used: {reason}") from None
        return context


def _no_password() -> str:
    """Otherwise OpenSSL would ask for the password of an encrypted key on the terminal."""
    raise ValueError("the key is encrypted; wanted a key without a password")
