"""Which clients may connect: a folder of certificates, read again when it changes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from asyncua import ua
from asyncua.common.utils import ServiceError
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from agent.core.durable_file import replace_file
from agent.core.errors import Permanent
from agent.core.printable import printable

log = logging.getLogger(__name__)

CERTIFICATES = (".der", ".crt", ".cer", ".pem")
REVOCATIONS = (".crl",)

# Certificates of rejected clients that are kept: anybody in the network can send as many as he likes.
MOST_REJECTED = 20


class TrustList:
    """The certificates that are trusted: of clients, or of the CAs that issue them, with their revocation lists."""

    def __init__(self, directory: Path, rejected: Path) -> None:
        """`directory` has the certificates, PEM or DER; a rejected one is left in `rejected`."""
        self._directory = directory
        self._rejected = rejected
        self._version: tuple[tuple[str, int], ...] | None = None
        self._verifier: verification.ClientVerifier | None = None
        self._revocations: list[x509.CertificateRevocationList] = []

    def load(self) -> None:
        """Read the folder if it has changed. Raises Permanent where it, or a file in it, cannot be used."""
        try:
            files = sorted(path for path in self._directory.iterdir() if path.suffix in CERTIFICATES + REVOCATIONS)
            version = tuple((path.name, path.stat().st_mtime_ns) for path in files)
        except OSError as error:
            raise Permanent(f"opcua.trusted_directory: {self._directory}: {error.strerror}") from None
        if version == self._version:
            return
        certificates = [_read_certificate(path) for path in files if path.suffix in CERTIFICATES]
        if not certificates:
            log.warning(
                "opcua.trusted_directory: %s has no certificate: no client may connect; rejected ones are left in %s",
                self._directory,
                self._rejected,
            )
        self._revocations = [_read_revocations(path, certificates) for path in files if path.suffix in REVOCATIONS]
        self._verifier = _verifier(certificates) if certificates else None
        self._version = version

    async def validate(self, certificate: x509.Certificate, application: ua.ApplicationDescription) -> None:
        """Check the certificate with which a client opens a session. Raises ServiceError with the reason."""
        try:
            self.load()
        except Permanent as error:
            # The certificates that were read before count.
            log.warning("%s", error)
        self.check(certificate)
        if application.ApplicationUri not in application_uris(certificate):
            raise ServiceError(ua.StatusCodes.BadCertificateUriInvalid)

    def check(self, certificate: x509.Certificate) -> None:
        """Raises ServiceError for a certificate that is not trusted, not valid now, or revoked."""
        now = datetime.now(timezone.utc)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise ServiceError(ua.StatusCodes.BadCertificateTimeInvalid)
        if not self._is_trusted(certificate):
            self._keep_rejected(certificate)
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)
        for revocations in self._revocations:
            number = certificate.serial_number
            if revocations.issuer == certificate.issuer and revocations.get_revoked_certificate_by_serial_number(
                number
            ):
                raise ServiceError(ua.StatusCodes.BadCertificateRevoked)

    def _is_trusted(self, certificate: x509.Certificate) -> bool:
        if self._verifier is None:
            return False
        try:
            self._verifier.verify(certificate, [])
        except verification.VerificationError:
            return False
        return True

    def _keep_rejected(self, certificate: x509.Certificate) -> None:
        """Leave it where a person finds it; the log names the file, once for each certificate."""
        path = self._rejected / f"{certificate.fingerprint(SHA1()).hex()}.der"
        try:
            self._rejected.mkdir(parents=True, exist_ok=True)
            if path.exists() or len(list(self._rejected.iterdir())) >= MOST_REJECTED:
                return
            replace_file(path, certificate.public_bytes(Encoding.DER))
        except OSError as error:
            log.warning("%s: %s", self._rejected, error.strerror)
            return
        subject = printable(certificate.subject.rfc4514_string())[:200]
        log.warning("OPC UA client %s is not trusted; to trust it, copy %s to %s", subject, path, self._directory)


def application_uris(certificate: x509.Certificate) -> list[str]:
    """The application URIs in a certificate; empty where it has none, and then it is none for OPC UA."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return list(names.get_values_for_type(x509.UniformResourceIdentifier))


def _verifier(certificates: Sequence[x509.Certificate]) -> verification.ClientVerifier:
    """Accepts the certificates themselves, and those that a CA among them has issued."""
    authority = verification.ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, verification.Criticality.AGNOSTIC, _is_authority
    )
    policies = {"ca_policy": authority, "ee_policy": verification.ExtensionPolicy.permit_all()}
    store = verification.Store(list(certificates))
    return verification.PolicyBuilder().store(store).extension_policies(**policies).build_client_verifier()


def _is_authority(_: object, __: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("a certificate that is not that of a CA has issued another one")


def _read_certificate(path: Path) -> x509.Certificate:
    """Raises Permanent for a file that is no certificate."""
    content = _read(path)
    try:
        pem = content.lstrip().startswith(b"-----BEGIN")
        return x509.load_pem_x509_certificate(content) if pem else x509.load_der_x509_certificate(content)
    except ValueError:
        raise Permanent(f"opcua.trusted_directory: {path} is no certificate; wanted one, PEM or DER") from None


def _read_revocations(path: Path, issuers: Sequence[x509.Certificate]) -> x509.CertificateRevocationList:
    """Raises Permanent for a file that is no revocation list of one of these issuers."""
    content = _read(path)
    try:
        pem = content.lstrip().startswith(b"-----BEGIN")
        found = x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)
    except ValueError:
        raise Permanent(f"opcua.trusted_directory: {path} is no revocation list; wanted one, PEM or DER") from None
    keys = [each.public_key() for each in issuers if each.subject == found.issuer]
    if not any(found.is_signature_valid(key) for key in keys):  # type: ignore[arg-type]
        raise Permanent(f"opcua.trusted_directory: {path} is not signed by a CA whose certificate is there too")
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Permanent(f"opcua.trusted_directory: {path}: {error.strerror}") from None
