"""With trusted keys only bundles that one of them signed are accepted; each rejection is one line."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.bundles.bundle import MANIFEST, MODEL, REFERENCE, Bundle, read_bundle, write_bundle, write_lean_copy
from engines.bundles.signing import SIGNATURE, generate_keys, load_trusted_key, load_trusted_keys, sign_bundle
from engines.errors import BundleError, EngineError, SigningError
from tests.engines.bundles.test_bundle import edit_manifest


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private and a public key."""
    return generate_keys(tmp_path_factory.mktemp("keys") / "plant")


@pytest.fixture
def signed(tiny_bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    """A signed copy of the tiny bundle that tests may damage."""
    copy = Path(shutil.copytree(tiny_bundle.path, tmp_path / "line1.bundle"))
    sign_bundle(copy, keys[0])
    return copy


def rejection(bundle: Path, *public_files: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_bundle(bundle, trusted=load_trusted_keys(public_files))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_manifest_that_was_changed_after_verification_is_not_signed(
    tiny_bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny_bundle.path, tmp_path / "line1.bundle"))
    verified = read_bundle(copy)
    edit_manifest(copy, name="another")
    with pytest.raises(BundleError, match="changed after it was verified, so it is not signed"):
        sign_bundle(copy, keys[0], verified=verified.sha256)
    assert not (copy / SIGNATURE).exists()


def test_signed_bundle_is_read_with_the_key_that_signed_it(
    tiny_bundle: Bundle, signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """Also among other trusted keys; its signature does not change the bundle's identity."""
    other = generate_keys(tmp_path / "other")[1]
    bundle = read_bundle(signed, trusted=load_trusted_keys([other, keys[1]]))
    assert bundle.sha256 == tiny_bundle.sha256
    assert bundle.signed_by == load_trusted_key(keys[1]).fingerprint
    assert read_bundle(signed).signed_by is None, "no signature was required"


def test_signature_is_verified_by_openssl(signed: Path, keys: tuple[Path, Path]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt install openssl")
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(keys[1]), "-rawin", "-in", MANIFEST]
    done = subprocess.run([*command, "-sigfile", SIGNATURE], cwd=signed, capture_output=True, text=True, check=False)
    assert "Verified Successfully" in done.stdout, done.stderr


def test_bundle_signed_by_another_key_is_rejected(signed: Path, tmp_path: Path) -> None:
    other = generate_keys(tmp_path / "other")[1]
    assert "signed by another key; trusted keys are other.pub" in rejection(signed, other)


def test_altered_manifest_is_rejected_before_it_is_parsed(signed: Path, keys: tuple[Path, Path]) -> None:
    edit_manifest(signed, name="another")
    assert "altered after it was signed" in rejection(signed, keys[1])
    (signed / MANIFEST).write_text("{")
    assert "altered after it was signed" in rejection(signed, keys[1])


def test_altered_file_with_a_valid_signature_is_rejected(signed: Path, keys: tuple[Path, Path]) -> None:
    (signed / MODEL).write_bytes((signed / MODEL).read_bytes() + b"\0")
    assert f"{MODEL}: altered" in rejection(signed, keys[1])


def test_signature_of_another_bundle_is_rejected(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    lean = write_lean_copy(read_bundle(signed), tmp_path / "lean.bundle")
    shutil.copy(signed / SIGNATURE, lean.path / SIGNATURE)
    assert "altered after it was signed" in rejection(lean.path, keys[1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "not signed, wanted a signature by a trusted key"),
        ("short", "63 bytes, wanted the 64 of an Ed25519 signature"),
        ("long", "65 bytes, wanted the 64"),
        ("link", "a link or special file"),
        ("directory", "a link or special file"),
        ("zeros", "altered after it was signed"),
    ],
)
def test_signature_that_is_damaged_is_one_line(
    signed: Path, keys: tuple[Path, Path], damage: str, message: str
) -> None:
    file = signed / SIGNATURE
    good = file.read_bytes()
    file.unlink()
    if damage == "link":
        (signed.parent / "elsewhere").write_bytes(good)
        file.symlink_to(signed.parent / "elsewhere")
    elif damage == "directory":
        file.mkdir()
    elif damage != "missing":
        file.write_bytes({"short": good[:63], "long": good + b"\0", "zeros": bytes(64)}[damage])
    assert message in rejection(signed, keys[1])


def test_file_next_to_the_signature_is_rejected(signed: Path, keys: tuple[Path, Path]) -> None:
    (signed / "manifest.sig2").write_bytes(b"")
    assert "'manifest.sig2' is not in the manifest" in rejection(signed, keys[1])


def test_write_with_a_signature_among_the_files_is_rejected(tiny_bundle: Bundle, tmp_path: Path) -> None:
    files = {name: (tiny_bundle.path / name).read_bytes() for name in (MODEL, "model-fp16.onnx", REFERENCE)}
    with pytest.raises(BundleError, match="cannot be a file of a bundle"):
        write_bundle(tmp_path / "x.bundle", tiny_bundle.manifest, {**files, SIGNATURE: bytes(64)})


def test_bundle_that_is_replaced_is_not_signed(tiny_bundle: Bundle, signed: Path, keys: tuple[Path, Path]) -> None:
    files = {name: (tiny_bundle.path / name).read_bytes() for name in tiny_bundle.manifest.files}
    write_bundle(signed, tiny_bundle.manifest, files)
    assert "not signed" in rejection(signed, keys[1])


def test_second_signature_replaces_the_first(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    second = generate_keys(tmp_path / "second")
    fingerprint = sign_bundle(signed, second[0])
    assert read_bundle(signed, trusted=load_trusted_keys(second[1:])).signed_by == fingerprint
    assert "another key" in rejection(signed, keys[1])
    assert {path.name for path in tmp_path.iterdir()} == {"line1.bundle", "second.key", "second.pub"}


def test_private_key_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        private, public = generate_keys(tmp_path / "plant")
    finally:
        os.umask(before)
    assert (stat.S_IMODE(private.stat().st_mode), stat.S_IMODE(public.stat().st_mode)) == (0o600, 0o644)
    assert (private.name, public.name) == ("plant.key", "plant.pub")


@pytest.mark.parametrize("taken", ["plant.key", "plant.pub"])
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_keys_are_never_overwritten(tmp_path: Path, taken: str, kind: str) -> None:
    if kind == "file":
        (tmp_path / taken).write_text("precious")
    else:
        (tmp_path / taken).symlink_to(tmp_path / "nowhere")
    with pytest.raises(SigningError, match="never overwritten"):
        generate_keys(tmp_path / "plant")
    assert [path.name for path in tmp_path.iterdir()] == [taken], "no half of a pair is left"


def test_keys_in_a_missing_folder_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match=r"plant\.key: cannot be written \(No such file"):
        generate_keys(tmp_path / "nowhere" / "plant")


def pem(*arguments: str) -> bytes:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt install openssl")
    return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout


def test_key_made_by_openssl_signs(tiny_bundle: Bundle, tmp_path: Path) -> None:
    private, public = tmp_path / "a.key", tmp_path / "a.pub"
    private.touch(0o600)
    private.write_bytes(pem("genpkey", "-algorithm", "ed25519"))
    public.write_bytes(pem("pkey", "-in", str(private), "-pubout"))
    copy = Path(shutil.copytree(tiny_bundle.path, tmp_path / "line1.bundle"))
    assert sign_bundle(copy, private) == read_bundle(copy, trusted=load_trusted_keys([public])).signed_by


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: None, "key cannot be read (No such file"),
        (lambda: b"", "not a private key"),
        (lambda: b"\xff" * 100_000, "not a private key"),
        (lambda: pem("genpkey", "-algorithm", "x25519"), "X25519PrivateKey, wanted an Ed25519 private key"),
        (
            lambda: pem("genpkey", "-algorithm", "ed25519", "-aes-128-cbc", "-pass", "pass:secret"),
            "encrypted with a passphrase",
        ),
    ],
    ids=["missing", "empty", "garbage", "another kind", "encrypted"],
)
def test_private_key_that_is_invalid_is_one_line(signed: Path, tmp_path: Path, content: object, message: str) -> None:
    file, before = tmp_path / "a.key", (signed / SIGNATURE).read_bytes()
    data = content()  # type: ignore[operator]
    if data is not None:
        file.touch(0o600)
        file.write_bytes(data)
    with pytest.raises(SigningError) as caught:
        sign_bundle(signed, file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (signed / SIGNATURE).read_bytes() == before


def test_private_key_that_others_may_read_is_rejected(signed: Path, tmp_path: Path) -> None:
    private, _ = generate_keys(tmp_path / "loose")
    private.chmod(0o640)
    with pytest.raises(SigningError, match=r"mode 0640, so others may read or change it; wanted 0600"):
        sign_bundle(signed, private)


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Root may read everything, so the test drops its rights."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    yield
    os.seteuid(user)


@pytest.mark.usefixtures("keys", "ordinary_user")  # keys: loads the library that reads them while we still may
def test_unreadable_key_is_one_line() -> None:
    with tempfile.NamedTemporaryFile(suffix=".pub") as file:
        os.fchmod(file.fileno(), 0)
        with pytest.raises(SigningError, match=r"key cannot be read \(Permission denied\)"):
            load_trusted_key(Path(file.name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda private: private.read_bytes(), "a private key, wanted the public one"),
        (lambda private: b"ssh-ed25519 AAAA plant", "not a public key"),
        (
            lambda private: pem("pkey", "-in", _other_kind(private), "-pubout"),
            "X25519PublicKey, wanted an Ed25519 public key",
        ),
    ],
    ids=["private", "ssh", "another kind"],
)
def test_trusted_key_that_is_invalid_is_one_line(
    keys: tuple[Path, Path], tmp_path: Path, content: object, message: str
) -> None:
    file = tmp_path / "a.pub"
    file.write_bytes(content(Path(shutil.copy(keys[0], tmp_path / "copy.key"))))  # type: ignore[operator]
    with pytest.raises(SigningError) as caught:
        load_trusted_keys([file])
    assert message in str(caught.value)


def _other_kind(private: Path) -> str:
    private.write_bytes(pem("genpkey", "-algorithm", "x25519"))
    return str(private)


def test_key_that_is_a_directory_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"key cannot be read \(Is a directory\)"):
        load_trusted_key(tmp_path)
