"""The model bundle on disk: a directory whose manifest names every other file with its sha256.

A bundle is data, never code: JSON, ONNX, NumPy archives without pickle, an image. `read_bundle` trusts nothing without
a check, because a bundle may arrive over a network or on a USB stick: every file is hashed, no file may be missing,
added or a link, and an ONNX graph may not refer to other files (`engines.bundles.external_data`). A signature proves
where a bundle comes from (`engines.bundles.signing`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engines.bundles.external_data import OnnxFormatError, external_data
from engines.bundles.manifest import (
    MANIFEST_SCHEMA,
    DamageCheck,
    Geometry,
    Manifest,
    Normalisation,
    RecipeRecord,
    ScoreSummary,
    Tolerance,
    TrainingRecord,
    View,
)
from engines.bundles.operators import check_operators
from engines.bundles.plain_file import read_plain_file
from engines.bundles.reference import Frames, Reference, parse_reference, reference_archive
from engines.bundles.signing import SIGNATURE, TrustedKey, verify_signature
from engines.errors import BundleError

__all__ = [
    "CORRECTION",
    "MANIFEST",
    "MANIFEST_SCHEMA",
    "MODEL",
    "MODEL_FP16",
    "REFERENCE",
    "REPORT",
    "WEIGHTS",
    "Bundle",
    "DamageCheck",
    "Frames",
    "Geometry",
    "Manifest",
    "Normalisation",
    "RecipeRecord",
    "Reference",
    "ScoreSummary",
    "Tolerance",
    "TrainingRecord",
    "View",
    "check_replaceable",
    "copy_bundle",
    "read_bundle",
    "reference_archive",
    "write_bundle",
]

MANIFEST = "manifest.json"
MODEL = "model.onnx"
MODEL_FP16 = "model-fp16.onnx"
REFERENCE = "reference.npz"
WEIGHTS = "weights.npz"
REPORT = "report.png"
CORRECTION = "correction.npz"

REQUIRED = (MODEL, MODEL_FP16, REFERENCE)
OPTIONAL = (WEIGHTS, REPORT, CORRECTION)

# A manifest has about 2 kB. A file a thousand times as large is no manifest, and is not parsed.
MAX_MANIFEST_BYTES = 2_000_000

# Bundles of this project have a few megabytes; the largest foreign models (a backbone with its memory) some hundreds.
MAX_FILE_BYTES = 2**30

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle."""

    path: Path
    """Its directory."""
    manifest: Manifest
    sha256: str
    """sha256, hex, of `manifest.json`, which names every other file by its hash: the identity of the bundle."""
    signed_by: str | None = None
    """Fingerprint of the trusted key that signed it; None if no signature was required."""

    @property
    def geometry(self) -> Geometry:
        """Size and kind of the model's input frames."""
        return self.manifest.geometry

    @property
    def heatmap_shape(self) -> tuple[int, int]:
        """Rows and columns of a heatmap."""
        return self.manifest.heatmap_shape

    def read(self, name: str) -> bytes:
        """The verified bytes of one of the bundle's files, which are the bytes to load.

        They are read and hashed on each call, so nothing is kept in memory. BundleError if the manifest does not list
        the file, or if it is not any more the one that was verified.
        """
        if name not in self.manifest.files:
            raise BundleError(
                f"{self.path}: no {name} in this bundle (it has {', '.join(sorted(self.manifest.files))})"
            )
        return _read_verified(self.path / name, self.manifest.files[name])

    def reference(self) -> Reference:
        """Load the reference frames, scores and heatmaps."""
        return parse_reference(self.path / REFERENCE, self.read(REFERENCE), self.manifest)


def read_bundle(path: Path | str, *, trusted: Sequence[TrustedKey] | None = None) -> Bundle:
    """Read a bundle and verify every file; BundleError, one line, if anything differs from the manifest.

    With `trusted`, one of these keys must have signed the manifest; that is checked before the manifest is parsed.
    """
    folder = Path(path)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise BundleError(f"{folder}: found {found}, wanted a bundle directory with {MANIFEST}")
    raw = _read_manifest_bytes(folder)
    signed_by = None if trusted is None else verify_signature(folder, raw, trusted).fingerprint
    manifest = _parse_manifest(folder, raw)
    _check_names(folder, manifest)
    for name, wanted in manifest.files.items():
        _check_file(folder / name, wanted)
    if manifest.view is not None and manifest.view.correction is not None:
        manifest.view.use_correction(folder / CORRECTION)
    bundle = Bundle(folder, manifest, hashlib.sha256(raw).hexdigest(), signed_by)
    bundle.reference()
    return bundle


def write_bundle(path: Path | str, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle atomically: afterwards `path` holds the complete bundle, or its previous content.

    Takes the manifest without hashes, and the content of every other file by name. Replaces an existing bundle;
    BundleError for anything else at `path`, or if the disk does not take the files. Returns the bundle, read back and
    verified. It is not signed, even if the previous one was: its manifest is new.
    """
    target = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link, which must be rejected
    check_replaceable(target)
    for name in files:
        if not _FILE_NAME.match(name) or name in (MANIFEST, SIGNATURE):
            raise BundleError(f"{name!r} cannot be a file of a bundle")
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    sealed = manifest.model_copy(update={"files": hashes})
    content = {**files, MANIFEST: (sealed.model_dump_json(by_alias=True, indent=2) + "\n").encode()}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_and_swap(target, content)
    except OSError as error:
        raise BundleError(f"{target}: cannot write the bundle ({error.strerror or error})") from error
    return read_bundle(target)


def write_lean_copy(bundle: Bundle, out: Path | str) -> Bundle:
    """Write the part of a bundle that a device needs to `out`: both graphs and two of the reference frames.

    It has half the size, without the weights for PyTorch and the training report. The two frames are the first and the
    last: training sorts them by score. Raises BundleError where `out` is the bundle itself.
    """
    if Path(out).resolve() == bundle.path.resolve():
        raise BundleError(f"{out}: got the bundle itself, wanted another path for the copy")
    reference = bundle.reference()
    ends = [0, len(reference.score) - 1]
    few = Reference(reference.frames[ends], reference.score[ends], reference.heatmap[ends])
    files = {name: bundle.read(name) for name in (*REQUIRED, CORRECTION) if name in bundle.manifest.files}
    return write_bundle(out, bundle.manifest, {**files, REFERENCE: reference_archive(few)})


def copy_bundle(bundle: Bundle, out: Path | str) -> Bundle:
    """Copy a verified bundle with its signature to `out`, as atomically as `write_bundle`; it is the same bundle.

    Raises BundleError for anything else at `out`, or if the disk does not take the files.
    """
    target = Path(os.path.abspath(out))  # noqa: PTH100 - as in `write_bundle`
    check_replaceable(target)
    raw = _read_manifest_bytes(bundle.path)
    if hashlib.sha256(raw).hexdigest() != bundle.sha256:
        raise BundleError(f"{bundle.path}: altered since it was verified")
    content = {MANIFEST: raw, **{name: bundle.read(name) for name in bundle.manifest.files}}
    signature = bundle.path / SIGNATURE
    if signature.is_file():
        content[SIGNATURE] = read_plain_file(signature, MAX_MANIFEST_BYTES)
    try:
        _write_and_swap(target, content)
    except OSError as error:
        raise BundleError(f"{target}: cannot write the bundle ({error.strerror or error})") from error
    return read_bundle(target)


def check_replaceable(target: Path) -> None:
    """Raise BundleError if `target` exists and is neither a bundle nor an empty directory."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BundleError(f"{target}: exists and is not a bundle, so it is not replaced")
    if target.is_dir() and any(target.iterdir()):
        try:
            _parse_manifest(target, _read_manifest_bytes(target))
        except BundleError:
            raise BundleError(f"{target}: exists and is not a bundle, so it is not replaced") from None


def _read_manifest_bytes(folder: Path) -> bytes:
    path = folder / MANIFEST
    if not path.exists() and not path.is_symlink():
        raise BundleError(f"{folder}: no {MANIFEST}, so this is not a bundle")
    return read_plain_file(path, MAX_MANIFEST_BYTES)


def _parse_manifest(folder: Path, raw: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        if place == "schema":
            raise BundleError(f"{folder}: schema {first['input']!r}, this version reads {MANIFEST_SCHEMA!r}") from None
        raise BundleError(f"{folder / MANIFEST}: {place}: {first['msg']}".replace("\n", " ")) from None


def _check_names(folder: Path, manifest: Manifest) -> None:
    listed = set(manifest.files)
    for name in sorted(listed):
        if not _FILE_NAME.match(name):
            raise BundleError(f"{folder}: file name {name!r} in the manifest, wanted a plain name inside the bundle")
    for name in REQUIRED:
        if name not in listed:
            raise BundleError(f"{folder}: the manifest lists no {name}")
    wants_correction = manifest.view is not None and manifest.view.correction is not None
    if wants_correction != (CORRECTION in listed):
        raise BundleError(f"{folder}: view.correction and {CORRECTION} go together, the manifest has one of them")
    unknown = listed - set(REQUIRED) - set(OPTIONAL)
    if unknown:
        raise BundleError(f"{folder}: the manifest lists {min(unknown)!r}, which no bundle has")
    present = {entry.name for entry in folder.iterdir()} - {MANIFEST, SIGNATURE}
    if present - listed:
        raise BundleError(f"{folder}: {min(present - listed)!r} is not in the manifest")
    if listed - present:
        raise BundleError(f"{folder}: {min(listed - present)} is missing")


def _check_file(path: Path, wanted: str) -> None:
    content = _read_verified(path, wanted)
    if path.suffix == ".onnx":
        _check_onnx(path, content)


def _read_verified(path: Path, wanted: str) -> bytes:
    content = read_plain_file(path, MAX_FILE_BYTES)
    got = hashlib.sha256(content).hexdigest()
    if got != wanted:
        raise BundleError(f"{path}: altered (sha256 {got[:12]}…, the manifest has {wanted[:12]}…)")
    return content


def _check_onnx(path: Path, content: bytes) -> None:
    try:
        location = external_data(content)
    except OnnxFormatError as error:
        raise BundleError(f"{path}: not an ONNX model ({error})") from None
    try:
        check_operators(content)
    except OnnxFormatError as error:
        raise BundleError(f"{path}: {error}") from None
    if location is not None:
        raise BundleError(f"{path}: keeps weights in another file ({location!r}), wanted all of them inside")


def _write_and_swap(target: Path, content: Mapping[str, bytes]) -> None:
    """Write next to the target, then rename: there is no bundle only between the two renames."""
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        new = staging / "new"
        new.mkdir(mode=0o755)
        for name, data in content.items():
            _write_durably(new / name, data)
        if target.exists():
            target.rename(staging / "old")
        new.rename(target)
    finally:
        if (staging / "old").exists() and not target.exists():
            (staging / "old").rename(target)
        shutil.rmtree(staging, ignore_errors=True)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
