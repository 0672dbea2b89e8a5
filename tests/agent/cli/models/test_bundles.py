"""`inspectd bundle …`: keys, signatures, and bundles that are not accepted."""

from __future__ import annotations

import shutil
from pathlib import Path

from engines.bundles.bundle import Bundle
from tests.support.command_line import assert_one_line, inspectd


def test_bundle_is_signed_and_verified(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle.path, tmp_path / "line1.bundle"))
    made = inspectd("bundle", "keygen", tmp_path / "plant")
    assert made.returncode == 0, made.stderr
    assert 'trusted_keys = ["plant.pub"]' in made.stdout
    assert_one_line(inspectd("bundle", "keygen", tmp_path / "plant"), "plant.key: exists", "never overwritten")
    assert_one_line(inspectd("bundle", "verify", bundle, "--key", tmp_path / "plant.pub"), "line1.bundle: not signed")
    signed = inspectd("bundle", "sign", bundle, "--key", tmp_path / "plant.key")
    assert signed.returncode == 0, signed.stderr
    verified = inspectd("bundle", "verify", bundle, "--key", tmp_path / "plant.pub")
    assert verified.returncode == 0, verified.stderr
    assert "signed by" in verified.stdout
    assert inspectd("bundle", "verify", bundle).returncode == 2


def test_altered_bundle_is_rejected(tiny_bundle: Bundle, good_parts: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered.bundle"
    shutil.copytree(tiny_bundle.path, altered)
    with (altered / "model.onnx").open("ab") as model:
        model.write(b"\0")
    assert_one_line(inspectd("score", altered, good_parts), "model.onnx")
