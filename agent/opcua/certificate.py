"""A certificate for the OPC UA server, signed by itself, as clients put it into their lists of trusted servers."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.core.errors import Permanent

# Nobody renews the certificate of a machine every year, and a line must not stop for it.
VALID_YEARS = 10
KEY_BITS = 2048


def application_uri(site: str, host: str) -> str:
    """The name of this server in the world of OPC UA.

    >>> application_uri("plant 1", "line1")
    'urn:line1:inspectd:plant-1'
    """
    return f"urn:{host}:inspectd:{'-'.join(site.split())}"


def make_certificate(certificate: Path, key: Path, *, site: str, hosts: Sequence[str]) -> str:
    """Write certificate and key, PEM; returns the application URI. Raises Permanent where a file exists already.

    `hosts`: names and addresses under which clients reach the server; this machine's name is one anyway.
    """
    name = socket.gethostname()
    uri = application_uri(site, name)
    made = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"inspectd {site}"[:64]),
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, name),
        ]
    )
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder(subject, subject, made.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * VALID_YEARS))
        .add_extension(_names(uri, [name, *hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(made.public_key()), critical=False)
    )
    _write(key, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    _write(certificate, builder.sign(made, SHA256()).public_bytes(Encoding.PEM), mode=0o644)
    return uri


def _names(uri: str, hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(_host_name(host))
    return x509.SubjectAlternativeName(names)


def _host_name(host: str) -> x509.DNSName:
    try:
        return x509.DNSName(host)
    except ValueError:
        raise Permanent(f"host: got {ascii(host)[:80]}, wanted a name or an address, such as line1.plant") from None


def _key_usage() -> x509.KeyUsage:
    """As OPC 10000-6, section 6.2.2, wants it."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes, *, mode: int) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise Permanent(f"{path} exists already; clients trust it, so it is not replaced") from None
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
