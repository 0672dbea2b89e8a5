"""The broker's address and credentials: TLS, user name and password.

The files are read again for every connection: to rotate certificates or passwords, replace them. Their contents are
never logged.
"""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agent.core.errors import Permanent, Temporary
from agent.core.secrets import redacted

# systemd passes secrets to a service as files of these names (systemd.exec, LoadCredential=).
CREDENTIAL_NAME = "mqtt-password"
KEY_CREDENTIAL_NAME = "mqtt-key"

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}

# X509_V_ERR_*, openssl/x509_vfy.h: what to do about each.
_CERTIFICATE_FAULTS = {
    9: "the broker's certificate is not valid yet: check the clock of this device",
    10: "the broker's certificate has expired: renew it on the broker",
    18: "the broker's certificate is self-signed and not trusted: give its CA in ca_file",
    19: "the broker's certificate is from a CA that is not trusted: give that CA in ca_file",
    20: "the broker's certificate is from a CA that is not trusted: give that CA in ca_file",
    62: "the broker's certificate is for another host name",
    64: "the broker's certificate is for another address",
}

# TLS alerts about the client certificate (RFC 8446, 6.2), as OpenSSL names them, and what to do about each.
_CERTIFICATE_ALERTS = {
    "certificate required": "the broker requires a client certificate: give it in certificate_file",
    "unknown ca": "the broker does not trust the CA of the client certificate: certificate_file is from another one",
    "certificate expired": "the client certificate has expired: renew certificate_file",
    "certificate revoked": "the client certificate is revoked: renew certificate_file",
    "bad certificate": "the broker rejects the client certificate: check certificate_file",
    "certificate unknown": "the broker rejects the client certificate: check certificate_file",
    "handshake failure": "the broker rejects the handshake: it may require a client certificate (certificate_file)",
}


@dataclass(frozen=True)
class Broker:
    """Address and credentials. Raises `Permanent` for an invalid address."""

    url: str
    """`mqtt://host[:port]`, or `mqtts://` for TLS."""
    username: str | None = None
    password_file: Path | None = None
    """One line. None: the systemd credential `mqtt-password`, if there is one."""
    ca_file: Path | None = None
    """PEM. None: the CAs of the system."""
    certificate_file: Path | None = None
    """PEM: the client certificate; its key is in `key_file`, in the credential `mqtt-key`, or in the same file."""
    key_file: Path | None = None
    keepalive_seconds: int = 15
    will_delay_seconds: int = 10
    """Delay before the broker publishes `offline`, so that a short interruption has no effect (MQTT 5)."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.path.strip("/") or "@" in self.url:
            raise Permanent(f"mqtt url: got {redacted(self.url)!r}, wanted mqtt[s]://host:port")
        _ = self.port
        if not self.tls and any((self.ca_file, self.certificate_file, self.key_file)):
            raise Permanent(f"mqtt url: got {self.url!r} and certificates, wanted mqtts:// with certificates")

    @property
    def host(self) -> str:
        return str(urlsplit(self.url).hostname)

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        try:
            return parts.port or DEFAULT_PORTS[parts.scheme]
        except ValueError:
            # The port is not shown: without a host, "mqtt://user:password", it is a password.
            raise Permanent(f"mqtt url: got an invalid port for {self.host!r}, wanted one from 1 to 65535") from None

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def name(self) -> str:
        """For log lines: host and port, no secrets."""
        return f"{self.host}:{self.port}"

    def password(self) -> str | None:
        """The password from its file or the systemd credential; raises `Temporary` if it cannot be read."""
        file = self.password_file or _credential(CREDENTIAL_NAME)
        if self.username is None or file is None:
            return None
        try:
            # With or without the byte order mark of Windows editors.
            return file.read_text(encoding="utf-8-sig").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Temporary(f"password file {file} cannot be read: {_reason(error)}") from None

    def tls_context(self) -> ssl.SSLContext | None:
        """A context from the current files, None without TLS; raises `Temporary` for an unusable file."""
        if not self.tls:
            return None
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is not None:
            context = ssl.create_default_context(cafile=_readable(self.ca_file, "ca_file"))
        if self.certificate_file is not None:
            key = self.key_file or _credential(KEY_CREDENTIAL_NAME)
            _load_client_certificate(context, self.certificate_file, key)
        return context

    def files_changed_at(self) -> tuple[float, ...]:
        """Modification times of certificates and password: if they change, a new connection is needed."""
        files = (self.ca_file, self.certificate_file, self.key_file, self.password_file)
        return tuple(_modified(file) for file in files if file is not None)


def explain(error: BaseException) -> str:
    """Why a connection could not be made, in one line that says what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_FAULTS.get(
            error.verify_code, f"the broker's certificate is rejected: {error.verify_message}"
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).lower().replace("_", " ")
        _, is_alert, alert = reason.partition(" alert ")
        if is_alert and alert in _CERTIFICATE_ALERTS:
            return _CERTIFICATE_ALERTS[alert]
        return f"TLS failed: {reason} (does the broker speak TLS on this port?)"
    if isinstance(error, ConnectionResetError):
        return "the other side closed the connection at once (TLS on a port without it, or the other way round?)"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there"
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved: {error.strerror}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return _reason(error)


def _reason(error: BaseException) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _credential(name: str) -> Path | None:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(directory) / name if directory else None
    return file if file is not None and file.exists() else None


def _readable(file: Path, setting: str) -> str:
    try:
        ssl.create_default_context(cafile=str(file))
    except (OSError, ssl.SSLError) as error:
        raise Temporary(f"{setting} {file} is not a usable PEM file: {_reason(error)}") from None
    return str(file)


def _load_client_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(str(certificate), None if key is None else str(key), password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise Temporary(f"client certificate {certificate} cannot be used: {_reason(error)}") from None


def _no_password() -> str:
    """Otherwise OpenSSL would ask for the password of an encrypted key on the terminal."""
    raise ValueError("its key is encrypted; wanted a key without a password")


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
