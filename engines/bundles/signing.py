"""Signed bundles: an Ed25519 signature (RFC 8032) of the manifest, which names every other file by its sha256.

Keys are PEM files in OpenSSL's format, and the signature file has the bare 64 bytes. So a signature can be checked
without this program: `openssl pkeyutl -verify -pubin -inkey plant.pub -rawin -in manifest.json -sigfile manifest.sig`.
`cryptography` is loaded only when a key is used.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import BundleError, SigningError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# It signs the manifest, so it is the only file of a bundle that the manifest does not list.
SIGNATURE = "manifest.sig"

SIGNATURE_BYTES = 64

# The PEM file of a private Ed25519 key has 119 bytes, that of a public one 113. No key file is much longer.
MAX_KEY_FILE_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key; bundles that it signed may run."""

    file: Path
    public: Ed25519PublicKey
    fingerprint: str
    """For people: the first 16 hex digits of the sha256 of the key's 32 bytes."""


def generate_keys(name: Path) -> tuple[Path, Path]:
    """Make a key pair and return both files: `name.key`, private, readable by its owner only, and `name.pub`.

    Raises SigningError if one of the files exists: an overwritten private key is lost for ever.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private_file, public_file = name.with_name(f"{name.name}.key"), name.with_name(f"{name.name}.pub")
    for file in (private_file, public_file):
        if file.exists() or file.is_symlink():
            raise SigningError(f"{file}: exists; wanted another name, because keys are never overwritten")
    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    _create(private_file, private, 0o600)
    try:
        _create(public_file, public, 0o644)
    except SigningError:
        private_file.unlink()
        raise
    return private_file, public_file


def load_trusted_key(file: Path) -> TrustedKey:
    """Read a public key; SigningError, one line, for anything else."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    pem = _read(file)
    if b"PRIVATE KEY" in pem:
        raise SigningError(f"{file}: a private key, wanted the public one; keep the private one off this machine")
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError(f"{file}: not a public key, wanted the .pub file of `inspectd bundle keygen`") from None
    if not isinstance(public, Ed25519PublicKey):
        raise SigningError(f"{file}: {type(public).__name__.removeprefix('_')}, wanted an Ed25519 public key")
    return TrustedKey(file, public, _fingerprint(public))


def load_trusted_keys(files: Sequence[Path] | None) -> tuple[TrustedKey, ...] | None:
    """Read the public keys; None, if no signature is required, stays None. Raises SigningError."""
    return None if files is None else tuple(map(load_trusted_key, files))


def sign_bundle(folder: Path, private_file: Path, *, verified: str | None = None) -> str:
    """Sign the manifest of the bundle in `folder` and return the key's fingerprint; replaces an earlier signature.

    The caller must have verified the bundle (`read_bundle`): the signature confirms that every file is as in the
    manifest. `verified` is that bundle's `sha256`: another manifest, which may have taken its place, is not signed.
    Raises SigningError if the key cannot be used or may be read by others, and BundleError if the bundle cannot be
    written to.
    """
    key = _load_private_key(private_file)
    try:
        manifest = (folder / "manifest.json").read_bytes()
        if verified is not None and hashlib.sha256(manifest).hexdigest() != verified:
            raise BundleError(f"{folder}: its manifest was changed after it was verified, so it is not signed")
        signature = key.sign(manifest)
        _replace(folder / SIGNATURE, signature)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be signed ({error.strerror or error})") from None
    return _fingerprint(key.public_key())


def verify_signature(folder: Path, manifest: bytes, trusted: Sequence[TrustedKey]) -> TrustedKey:
    """The key of `trusted` that signed these bytes of the manifest in `folder`; BundleError if none did."""
    from cryptography.exceptions import InvalidSignature

    signature = _read_signature(folder)
    for key in trusted:
        try:
            key.public.verify(signature, manifest)
        except InvalidSignature:
            continue
        return key
    names = ", ".join(f"{key.file.name} ({key.fingerprint})" for key in trusted)
    raise BundleError(f"{folder}: altered after it was signed, or signed by another key; trusted keys are {names}")


def _read_signature(folder: Path) -> bytes:
    path = folder / SIGNATURE
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise BundleError(f"{path}: a link or special file, wanted a plain file")
        signature = path.read_bytes() if found.st_size == SIGNATURE_BYTES else b""
    except FileNotFoundError:
        raise BundleError(f"{folder}: not signed, wanted a signature by a trusted key (inspectd bundle sign)") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(signature) != SIGNATURE_BYTES:
        raise BundleError(f"{path}: {found.st_size} bytes, wanted the {SIGNATURE_BYTES} of an Ed25519 signature")
    return signature


def _load_private_key(file: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = _read(file)
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        raise SigningError(f"{file}: mode {mode:04o}, so others may read or change it; wanted 0600 (chmod 600 {file})")
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise SigningError(f"{file}: encrypted with a passphrase, wanted a key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError(f"{file}: not a private key, wanted the .key file of `inspectd bundle keygen`") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{file}: {type(key).__name__.removeprefix('_')}, wanted an Ed25519 private key")
    return key


def _fingerprint(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise SigningError(f"{file}: key cannot be read ({error.strerror or error})") from None


def _create(file: Path, content: bytes, mode: int) -> None:
    """Write a new file with these rights from the start, whatever the umask is; never over a file or through a link."""
    created = False
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        created = True
        with os.fdopen(descriptor, "wb") as target:
            os.fchmod(target.fileno(), mode)
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        if created:
            file.unlink(missing_ok=True)
        raise SigningError(f"{file}: cannot be written ({error.strerror or error})") from None


def _replace(target: Path, content: bytes) -> None:
    """Write next to the bundle and rename into it: a stray file in the bundle would get it rejected."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.parent.name}.", dir=target.parent.absolute().parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
