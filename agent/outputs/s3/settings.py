"""The section of an S3 bucket: `[outputs.NAME]` with `kind = "s3"`."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from agent.core.errors import Temporary
from agent.core.section import Host, matching
from agent.outputs.settings import Content, OutputSection

DEFAULT_REGION = "us-east-1"


def _endpoint(url: str) -> str:
    """Raises ValueError for what is no address of a service."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("wanted https://host or https://host:port, such as https://minio.plant:9000") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.path not in ("", "/"):
        raise ValueError("wanted https://host or https://host:port, such as https://minio.plant:9000")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("wanted an address without a login; see credentials_file")
    return url


def _prefix(text: str) -> str:
    """Raises ValueError for a prefix that is none of a key."""
    if text.startswith("/") or "//" in text or not text.isprintable():
        raise ValueError("wanted a prefix such as line1/, without / at its beginning")
    return text if not text or text.endswith("/") else f"{text}/"


class S3Settings(OutputSection):
    """Where objects are uploaded, and with whose credentials."""

    kind: Literal["s3"] = "s3"
    bucket: Annotated[str, matching(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "3 to 63 of a-z, 0-9, . and -")]
    prefix: Annotated[str, Field(max_length=200), AfterValidator(_prefix)] = ""
    """The beginning of each key; ends with `/`."""
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    """Address of a service that is not AWS; None: AWS."""
    region: Annotated[str, matching(r"[a-z0-9-]{1,40}", "the name of a region, such as eu-central-1")] = DEFAULT_REGION
    credentials_file: Path | None = None
    """In the format of ~/.aws/credentials; None: the systemd credential `NAME-credentials`, else the usual places."""
    profile: Annotated[str, matching(r"[\w.-]{1,64}", "the name of a section of the credentials")] | None = None
    """Section of the credentials; None: default."""
    ca_file: Path | None = None
    """PEM. None: the CAs of the system."""
    send: Annotated[tuple[Content, ...], Field(min_length=1)] = ("alarms", "images", "verdicts")
    """What is uploaded."""
    timeout_seconds: Annotated[float, Field(gt=0.0, le=120.0)] = 20.0
    """For the connection, and for each step of request and response."""

    @property
    def tls(self) -> bool:
        return self.endpoint is None or urlsplit(self.endpoint).scheme == "https"

    @property
    def host(self) -> Host:
        """Of the service."""
        if self.endpoint is None:
            return Host(f"{self.bucket}.s3.{self.region}.amazonaws.com", 443)
        parts = urlsplit(self.endpoint)
        return Host(str(parts.hostname), parts.port or (443 if self.tls else 80))

    def hosts(self) -> list[Host]:
        return [self.host]

    def secrets(self) -> list[Path]:
        return [] if self.credentials_file is None else [self.credentials_file]

    def tls_context(self) -> ssl.SSLContext | None:
        """As the client verifies the service; None without TLS. Raises Temporary for a file that cannot be used."""
        if not self.tls:
            return None
        try:
            return ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Temporary(f"ca_file {self.ca_file} cannot be used: {reason}") from None
